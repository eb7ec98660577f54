//! `[registry."HOST"]` of the application file, and `[trust]`.

use std::collections::BTreeMap;

use wasm_host_limits::oci::RegistryLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::authorities::authorities;
use wasm_host_settings::context::{Context, Located, Span};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::disk;
use wasm_host_settings::file::Table;
use wasm_host_settings::named::What;
use wasm_host_settings::secret::Secret;
use wasm_host_settings::tls::Authorities;

use crate::credentials::Credentials;
use crate::reference::is_host;
use crate::signature::PublicKey;

/// Before its settings.
const KEYS: [&str; 4] = ["plain-http", "ca", "username", "password"];

/// How one registry is asked.
#[derive(Clone, Debug, Default)]
pub struct RegistryConfig {
    /// In clear text, which shows credentials and components to whoever is in between.
    pub plain_http: bool,
    /// Trusted beside the system's.
    pub ca: Option<Authorities>,
    /// Instead of those that Docker's configuration has.
    pub credentials: Option<Credentials>,
    pub limits: RegistryLimits,
    pub hints: Hints,
}

/// Where whoever reads a message can say how a registry is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// In the application file.
    #[default]
    File,
    /// On the command line, of a command that reads no application file.
    Options,
}

/// How all of them are asked, and what is believed of what they answer.
#[derive(Clone, Debug, Default)]
pub struct RegistriesConfig {
    /// By host. Those that are not named are asked by the defaults.
    pub registries: BTreeMap<String, RegistryConfig>,
    /// One of these must have signed every component. Empty: signatures are not looked at.
    pub keys: Vec<PublicKey>,
}

impl RegistriesConfig {
    pub fn of(&self, host: &str) -> RegistryConfig {
        self.registries.get(host).cloned().unwrap_or_default()
    }
}

/// `[registry."HOST"]` and `[trust]` at the top of a file.
pub fn registries(cx: &Context<'_>, root: &Table<'_>) -> RegistriesConfig {
    let mut registries = BTreeMap::new();
    for (name, at, table) in root.named_tables(cx, "registry") {
        if !is_host(name.value) {
            let message = format!("{} is not the name of a registry", quoted(name.value));
            let hint = "name its host with its port, in quotes, as in \
                        [registry.\"127.0.0.1:5000\"]";
            cx.error(&name.at, Problem::new(message, hint));
        }
        let is_bare =
            name.value.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
        let header = match is_bare {
            true => format!("[registry.{}]", name.value),
            false => format!("[registry.{:?}]", name.value),
        };
        let keys = [&KEYS[..], &RegistryLimits::keys()].concat();
        let table = Table::open(cx, &header, at, table, &keys);
        registries.insert(name.value.to_owned(), registry(cx, &table));
    }
    RegistriesConfig { registries, keys: trust(cx, root) }
}

fn registry(cx: &Context<'_>, table: &Table<'_>) -> RegistryConfig {
    RegistryConfig {
        plain_http: table.flag(cx, "plain-http").unwrap_or(false),
        ca: authorities(cx, table),
        credentials: credentials(cx, table),
        limits: table.settings(cx),
        hints: Hints::File,
    }
}

fn credentials(cx: &Context<'_>, table: &Table<'_>) -> Option<Credentials> {
    let username = table.interpolated(cx, "username");
    let password = table.interpolated(cx, "password");
    let alone = |at: &Span, one: &str, other: &str| {
        let message = format!("there is a '{one}' but no '{other}'");
        cx.error(at, Problem::new(message, "set both, or neither"));
    };
    match (username, password) {
        (Some(username), Some(password)) => {
            if !password.value.is_secret() {
                let hint =
                    "take it from the environment with ${NAME} or from a file with ${file:/path}";
                cx.error(&password.at, Problem::new("a password stands in the file", hint));
            }
            Some(Credentials::Basic {
                username: username.value.value,
                password: Secret::new(password.value.value),
            })
        }
        (Some(username), None) if !table.has("password") => {
            alone(&username.at, "username", "password");
            None
        }
        (None, Some(password)) if !table.has("username") => {
            alone(&password.at, "password", "username");
            None
        }
        _ => None,
    }
}

/// The keys of `[trust]`.
fn trust(cx: &Context<'_>, root: &Table<'_>) -> Vec<PublicKey> {
    let Some((at, table)) = root.table(cx, "trust", "[trust]") else { return Vec::new() };
    let table = Table::open(cx, "[trust]", at.clone(), table, &["keys"]);
    let named = table.texts(cx, "keys");
    if named.as_ref().is_none_or(Vec::is_empty) {
        let at = if table.has("keys") { table.at("keys") } else { at };
        let hint = "name the files of public keys, as in keys = [\"keys/release.pub\"]";
        cx.missing(&at, Problem::new("[trust] names no key", hint));
    }
    named.unwrap_or_default().iter().filter_map(|path| key(cx, path)).collect()
}

fn key(cx: &Context<'_>, path: &Located<String>) -> Option<PublicKey> {
    let pem = cx.checked(&path.at, disk::pem(&cx.path(What::PublicKey, path)))?;
    let key = PublicKey::from_pem(&pem).map_err(|error| Problem {
        message: format!("{}: {}", path.value, error.message),
        hint: error.hint,
    });
    cx.checked(&path.at, key)
}
