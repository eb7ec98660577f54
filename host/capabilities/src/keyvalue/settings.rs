//! `[keyvalue.<name>]`: one table, read.

mod url;

use std::time::Duration;

use toml::de::DeTable;

pub(super) use self::url::Address;
use wasm_host_limits::keyvalue::{BucketLimits, OwnBucketLimits, RedisLimits};
use wasm_host_limits::setting::Settings as _;
use wasm_host_limits::show::show_duration;
use wasm_host_settings::authorities::authorities;
use wasm_host_settings::context::{Context, Located, Span};
use wasm_host_settings::diagnostic::{Problem, nearest, quoted};
use wasm_host_settings::file::Table;
use wasm_host_settings::resource::{Keys, Resource, ResourcePlace, Wait};
use wasm_host_settings::secret::BackendUrl;
use wasm_host_settings::tls::Authorities;

/// Beside its settings.
const KEYS: [&str; 4] = ["store", "url", "ca", "prefix"];

const STORES: [&str; 2] = ["file", "memory"];

/// `[keyvalue.<name>]`
#[derive(Clone, Debug)]
pub struct KeyvalueConfig {
    pub store: Store,
    /// The most that one call takes.
    pub timeout: Duration,
}

/// Where a bucket is.
#[derive(Clone, Debug)]
pub enum Store {
    /// In a file of the state folder, of so many bytes at most.
    File {
        size_bytes: u64,
    },
    /// In the memory of the host.
    Memory {
        size_bytes: u64,
    },
    Redis(Box<RedisConfig>),
}

/// A bucket on a Redis server.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Always a `redis://` or `rediss://` URI with a host, checked.
    pub url: BackendUrl,
    /// The authorities that are trusted for the server, beside the system's.
    pub ca: Option<Authorities>,
    /// What the names of its keys begin with on the server.
    pub prefix: String,
    pub limits: RedisLimits,
}

impl KeyvalueConfig {
    /// `None` if where it is is wrong; that has been reported.
    pub(super) fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Option<Self> {
        let keys =
            [&KEYS[..], &BucketLimits::keys(), &OwnBucketLimits::keys(), &RedisLimits::keys()]
                .concat();
        let table = Table::open(cx, &format!("[keyvalue.{name}]"), at, table, &keys);
        let timeout = table.settings::<BucketLimits>(cx).timeout;
        let store = match table.has("url") {
            true => on_redis(cx, name, &table, timeout),
            false => of_the_host(cx, &table),
        };
        store.map(|store| Self { store, timeout })
    }
}

impl Resource for KeyvalueConfig {
    fn url(&self) -> Option<&BackendUrl> {
        match &self.store {
            Store::Redis(redis) => Some(&redis.url),
            Store::File { .. } | Store::Memory { .. } => None,
        }
    }

    fn place(&self) -> ResourcePlace<'_> {
        match &self.store {
            Store::Redis(redis) => ResourcePlace::Server { url: &redis.url, port: 6379 },
            Store::File { .. } => {
                ResourcePlace::StateFolder { instead: "write url = \"redis://…\" of a server" }
            }
            Store::Memory { .. } => ResourcePlace::Memory,
        }
    }

    fn memory_bytes(&self) -> u64 {
        match self.store {
            Store::Memory { size_bytes } => size_bytes,
            Store::File { .. } | Store::Redis(_) => 0,
        }
    }

    fn keys(&self) -> Option<Keys> {
        let Store::Redis(redis) = &self.store else { return None };
        let Address { host, port, database, .. } = Address::of(redis.url.expose()).ok()?;
        let server = format!("{}:{port}/{database}", host.to_ascii_lowercase());
        Some(Keys { server, prefix: redis.prefix.clone() })
    }

    fn first_byte(&self) -> Wait {
        // All that comes before is a part of it.
        let key = BucketLimits::timeout().key;
        Wait { key, bound: self.timeout, before: Duration::ZERO }
    }
}

fn of_the_host(cx: &Context<'_>, table: &Table<'_>) -> Option<Store> {
    let of_redis = [&["ca", "prefix"][..], &RedisLimits::keys()].concat();
    let why = "for a bucket of the host's own, which has no server";
    senseless(cx, table, &of_redis, why, "remove it, or add the url of a Redis server");
    let size_bytes = table.settings::<OwnBucketLimits>(cx).size_bytes;
    match table.text(cx, "store") {
        None if table.has("store") => None,
        None => Some(Store::File { size_bytes }),
        Some(store) => match store.value.as_str() {
            "file" => Some(Store::File { size_bytes }),
            "memory" => Some(Store::Memory { size_bytes }),
            _ => {
                cx.error(&store.at, no_store(&store));
                None
            }
        },
    }
}

fn on_redis(cx: &Context<'_>, name: &str, table: &Table<'_>, timeout: Duration) -> Option<Store> {
    let of_the_host = [&["store"][..], &OwnBucketLimits::keys()].concat();
    let why = "for a bucket with a url, which is on a server";
    senseless(cx, table, &of_the_host, why, "remove it, or remove the url");
    let prefix = table.text(cx, "prefix").map(|prefix| prefix.value);
    let ca = authorities(cx, table);
    let limits: RedisLimits = table.settings(cx);
    let acquire = RedisLimits::acquire_timeout().key;
    if table.has(acquire) && limits.acquire_timeout >= timeout {
        let (acquires, all) = (show_duration(limits.acquire_timeout), show_duration(timeout));
        let message =
            format!("'{acquire}' is {acquires}, and a call is over after {all} ('timeout')");
        cx.warning(&table.at(acquire), Problem::new(message, "lower it, or raise 'timeout'"));
    }
    let text = table.interpolated(cx, "url")?;
    let url = cx.checked(&text.at, url::parse(&text.value))?;
    if ca.is_some() && !url::is_encrypted(&url) {
        cx.error(
            &table.at("ca"),
            Problem::new(
                "'ca' means nothing for redis://, which is not encrypted",
                "remove it, or begin the url with rediss://",
            ),
        );
    }
    let prefix = prefix.unwrap_or_else(|| format!("{}:{name}:", cx.application()));
    Some(Store::Redis(Box::new(RedisConfig { url, ca, prefix, limits })))
}

fn senseless(cx: &Context<'_>, table: &Table<'_>, keys: &[&str], why: &str, fix: &str) {
    for key in keys.iter().filter(|key| table.has(key)) {
        cx.error(&table.at(key), Problem::new(format!("'{key}' means nothing {why}"), fix));
    }
}

fn no_store(store: &Located<String>) -> Problem {
    let hint = match nearest(&store.value, STORES.into_iter()) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None if store.value.contains("redis") => {
            "for a Redis server write url = \"redis://HOST\" instead".to_owned()
        }
        None => "it is \"file\" or \"memory\"; for a Redis server write url instead".to_owned(),
    };
    Problem::new(format!("there is no store {}", quoted(&store.value)), hint)
}
