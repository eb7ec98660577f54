//! `[postgres.<name>]`: one table, read.

pub(super) mod url;

use std::path::PathBuf;

use anyhow::Context as _;
use toml::de::DeTable;

use super::PoolConfig;
use super::url::Address;
pub use url::{has_literal_password, parse as database_url};
use wasm_host_limits::embedded_postgres::DatabaseLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::authorities::authorities;
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::disk;
use wasm_host_settings::file::Table;
use wasm_host_settings::named::What;
use wasm_host_settings::resource::{Resource, ResourcePlace, Wait};
use wasm_host_settings::secret::BackendUrl;
use wasm_host_settings::tls::Authorities;

/// Beside its settings.
const KEYS: [&str; 3] = ["url", "ca", "init"];

/// What a new server consists of. A database of the host's own cannot have such a name.
const RESERVED_DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

/// `[postgres.<name>]`
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    pub line: usize,
    /// Always a `postgres://` URI with a user, a host and a database, all checked. `None`: a database
    /// is started for it.
    pub url: Option<BackendUrl>,
    /// The authorities that are trusted for the server, beside the system's. With them, `url` asks for a server with a
    /// certificate of theirs.
    pub ca: Option<Authorities>,
    /// What it may take of the disk. `None`: it has a url, and its server is not the host's.
    pub size_bytes: Option<u64>,
    /// SQL files, in the order in which they run.
    pub init: Vec<PathBuf>,
    pub pool: PoolConfig,
}

impl PostgresConfig {
    /// `None` if its address is wrong; that has been reported.
    pub(super) fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Option<Self> {
        let line = cx.line(&at);
        let at_header = at.clone();
        let keys = [&KEYS[..], &DatabaseLimits::keys(), &PoolConfig::keys()].concat();
        let table = Table::open(cx, &format!("[postgres.{name}]"), at, table, &keys);
        if RESERVED_DATABASES.contains(&name) && !table.has("url") {
            cx.error(
                &at_header,
                Problem::new(
                    format!(
                        "{} is a database that every Postgres server has for itself",
                        quoted(name)
                    ),
                    "choose another name, as in [postgres.app], or give it a url",
                ),
            );
        }
        let url = match table.interpolated(cx, "url") {
            Some(text) => Some(cx.checked(&text.at, url::parse(&text.value))),
            None => None,
        };
        let ca = database_authorities(cx, &table, url.as_ref().and_then(Option::as_ref));
        let scripts = table.texts(cx, "init").unwrap_or_default();
        let mut init = Vec::new();
        for script in &scripts {
            let path = cx.path(What::Script, script);
            if !disk::is_file(&path) {
                cx.error(&script.at, missing_script(cx, &script.value));
            }
            init.push(path);
        }
        let config = Self {
            line,
            url: url.clone().flatten(),
            ca,
            size_bytes: database_size(cx, &table),
            init,
            pool: table.settings(cx),
        };
        // Never an embedded database in place of the one that was asked for.
        let url_is_wrong = table.has("url") && url.flatten().is_none();
        (!url_is_wrong).then_some(config)
    }

    /// Where its server is; `None` if it is the host's own.
    ///
    /// # Errors
    /// The driver does not take the address.
    pub fn address(&self, name: &str) -> anyhow::Result<Option<Address>> {
        let Some(url) = &self.url else { return Ok(None) };
        let address = Address::from_uri(url.expose());
        let address = address.with_context(|| format!("the url of [postgres.{name}]"))?;
        Ok(Some(match &self.ca {
            Some(ca) => address.with_authorities(ca.pem()),
            None => address,
        }))
    }
}

impl Resource for PostgresConfig {
    fn url(&self) -> Option<&BackendUrl> {
        self.url.as_ref()
    }

    fn place(&self) -> ResourcePlace<'_> {
        match &self.url {
            Some(url) => ResourcePlace::Server { url, port: 5432 },
            None => ResourcePlace::Beside,
        }
    }

    fn first_byte(&self) -> Wait {
        let pool = &self.pool;
        let before = pool.acquire_timeout + pool.connect_timeout;
        Wait { key: PoolConfig::statement_timeout().key, bound: pool.statement_timeout, before }
    }
}

/// `ca` of the table of a database. An address that lets in any server would make nothing of it.
pub fn database_authorities(
    cx: &Context<'_>,
    table: &Table<'_>,
    url: Option<&BackendUrl>,
) -> Option<Authorities> {
    let ca = authorities(cx, table)?;
    let problem = match url.and_then(url::ssl_mode) {
        None if !table.has("url") => Problem::new(
            "'ca' means nothing for a database of the host's own",
            "remove it, or add the url of a server",
        ),
        _ if url.is_some_and(url::is_socket) => Problem::new(
            "'ca' means nothing for a socket of this machine, which is not encrypted",
            "remove it",
        ),
        Some(mode) if !mode.starts_with("verify-") => Problem::new(
            format!("'ca' means nothing with the SSL mode {mode}, which takes any server"),
            "remove the mode: with 'ca' it is verify-full",
        ),
        _ => return Some(ca),
    };
    cx.error(&table.at("ca"), problem);
    None
}

/// `size`, which is not the host's to decide for the server of another.
fn database_size(cx: &Context<'_>, table: &Table<'_>) -> Option<u64> {
    if !table.has("url") {
        return Some(table.settings::<DatabaseLimits>(cx).size_bytes);
    }
    let key = DatabaseLimits::size_bytes().key;
    if table.has(key) {
        cx.error(
            &table.at(key),
            Problem::new(
                "'size' means nothing for a database with a url, whose server is not the host's",
                "remove it, or remove the url to have a database of the host's own",
            ),
        );
    }
    None
}

fn missing_script(cx: &Context<'_>, script: &str) -> Problem {
    Problem {
        message: format!("the SQL file {} does not exist", quoted(script)),
        hint: Some(cx.similar_path(script).unwrap_or_else(|| {
            "paths are relative to the folder of the application file".to_owned()
        })),
    }
}
