//! `[postgres.<name>]` and `[ollama.<name>]`: one table each.
//!
//! It exists to turn one table into one resource. Whether the names in it exist is for `resolve`,
//! which knows the whole file.

use toml::de::DeTable;

use super::authorities::authorities;
use super::context::{Context, Located, Span};
use super::diagnostic::{Problem, quoted};
use super::file::Table;
use super::forward::{ForwardList, ForwardRule};
use super::{
    BackendUrl, BreakerConfig, OllamaConfig, PostgresConfig, UrlFrom, disk, ollama_url,
    postgres_url,
};
use crate::limits;
use crate::tls::Authorities;

const POSTGRES_KEYS: &[&str] = &[
    "url",
    "ca",
    "init",
    "size",
    "pool",
    "acquire-timeout",
    "connect-timeout",
    "statement-timeout",
    "breaker-failures",
    "breaker-wait",
    "breaker-wait-max",
];

const OLLAMA_KEYS: &[&str] = &[
    "url",
    "ca",
    "fallback",
    "forward",
    "connect-timeout",
    "first-byte-timeout",
    "concurrent",
    "queue",
    "queue-timeout",
    "breaker-failures",
    "breaker-wait",
    "breaker-wait-max",
];

/// The variable that Ollama itself and its clients read.
const OLLAMA_HOST: &str = "OLLAMA_HOST";

/// What a new server consists of. A database of the host's own cannot have such a name.
const RESERVED_DATABASES: [&str; 3] = ["postgres", "template0", "template1"];

/// `None` if its address is wrong; that has been reported.
pub(super) fn postgres<'t>(
    cx: &Context<'_>,
    name: &str,
    at: Span,
    table: &'t DeTable<'t>,
) -> Option<PostgresConfig> {
    let line = cx.line(&at);
    let at_header = at.clone();
    let table = Table::open(cx, &format!("[postgres.{name}]"), at, table, POSTGRES_KEYS);
    if RESERVED_DATABASES.contains(&name) && !table.has("url") {
        cx.error(
            &at_header,
            Problem::new(
                format!("{} is a database that every Postgres server has for itself", quoted(name)),
                "choose another name, as in [postgres.app], or give it a url",
            ),
        );
    }
    let url = match table.interpolated(cx, "url") {
        Some(text) => Some(cx.checked(&text.at, postgres_url::parse(&text.value))),
        None => None,
    };
    let ca = database_authorities(cx, &table, url.as_ref().and_then(Option::as_ref));
    let scripts = table.texts(cx, "init").unwrap_or_default();
    for script in &scripts {
        if !disk::is_file(&cx.folder.join(&script.value)) {
            cx.error(&script.at, missing_script(cx, &script.value));
        }
    }
    let config = PostgresConfig {
        line,
        url: url.clone().flatten(),
        ca,
        size_bytes: database_size(cx, &table),
        init: scripts.iter().map(|script| cx.folder.join(&script.value)).collect(),
        pool: table.count(cx, "pool", limits::postgres::POOL),
        acquire_timeout: table.duration(cx, "acquire-timeout", limits::postgres::ACQUIRE_TIMEOUT),
        connect_timeout: table.duration(cx, "connect-timeout", limits::postgres::CONNECT_TIMEOUT),
        statement_timeout: table.duration(
            cx,
            "statement-timeout",
            limits::postgres::STATEMENT_TIMEOUT,
        ),
        breaker: breaker(cx, &table),
    };
    // Never an embedded database in place of the one that was asked for.
    let url_is_wrong = table.has("url") && url.flatten().is_none();
    (!url_is_wrong).then_some(config)
}

/// `ca` of a database. An address that lets in any server would make nothing of it.
fn database_authorities(
    cx: &Context<'_>,
    table: &Table<'_>,
    url: Option<&BackendUrl>,
) -> Option<Authorities> {
    let ca = authorities(cx, table)?;
    let problem = match url.and_then(postgres_url::ssl_mode) {
        None if !table.has("url") => Problem::new(
            "'ca' means nothing for a database of the host's own",
            "remove it, or add the url of a server",
        ),
        _ if url.is_some_and(postgres_url::is_socket) => Problem::new(
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

/// `size`, which somebody else decides for a server that is not the host's.
fn database_size(cx: &Context<'_>, table: &Table<'_>) -> Option<u64> {
    if !table.has("url") {
        return Some(table.size(cx, "size", limits::embedded_postgres::SIZE_BYTES));
    }
    if table.has("size") {
        cx.error(
            &table.at("size"),
            Problem::new(
                "'size' means nothing for a database with a url, whose server is not the host's",
                "remove it, or remove the url to have a database of the host's own",
            ),
        );
    }
    None
}

/// The resource and the service that stands in for it. `None` if its address is wrong.
pub(super) fn ollama<'t>(
    cx: &Context<'_>,
    name: &str,
    at: Span,
    table: &'t DeTable<'t>,
) -> (Option<OllamaConfig>, Option<Located<String>>) {
    let line = cx.line(&at);
    let table = Table::open(cx, &format!("[ollama.{name}]"), at, table, OLLAMA_KEYS);
    let fallback = table.text(cx, "fallback");
    let forward = match table.texts(cx, "forward") {
        Some(items) => {
            let parse = |item: &Located<String>| {
                cx.checked(&item.at, ForwardRule::parse_item(&item.value)).unwrap_or_default()
            };
            ForwardList::written(name, items.iter().flat_map(parse).collect())
        }
        None => ForwardList::default_of(name),
    };
    let connect_timeout = table.duration(cx, "connect-timeout", limits::ollama::CONNECT_TIMEOUT);
    let first_byte_timeout =
        table.duration(cx, "first-byte-timeout", limits::ollama::FIRST_BYTE_TIMEOUT);
    let concurrent = table.count(cx, "concurrent", limits::ollama::CONCURRENT);
    let queue = table.count(cx, "queue", limits::ollama::QUEUE);
    let queue_timeout = table.duration(cx, "queue-timeout", limits::ollama::QUEUE_TIMEOUT);
    let breaker = breaker(cx, &table);
    let ca = authorities(cx, &table);
    let config = ollama_address(cx, &table).map(|(url, url_from)| OllamaConfig {
        line,
        url,
        url_from,
        ca,
        fallback: fallback.as_ref().map(|fallback| fallback.value.clone()),
        forward,
        connect_timeout,
        first_byte_timeout,
        concurrent,
        queue,
        queue_timeout,
        breaker,
    });
    (config, fallback)
}

/// The keys that all backends have for their circuit breakers.
pub(super) fn breaker(cx: &Context<'_>, table: &Table<'_>) -> BreakerConfig {
    BreakerConfig {
        failures: table.count(cx, "breaker-failures", limits::backends::FAILURES),
        wait: table.duration(cx, "breaker-wait", limits::backends::WAIT),
        wait_max: table.duration(cx, "breaker-wait-max", limits::backends::WAIT_MAX),
    }
}

fn ollama_address(cx: &Context<'_>, table: &Table<'_>) -> Option<(BackendUrl, UrlFrom)> {
    if table.has("url") {
        let text = table.interpolated(cx, "url")?;
        let url = cx.checked(&text.at, ollama_url::parse(&text.value))?;
        return Some((url, UrlFrom::File));
    }
    let variable = cx.environment(OLLAMA_HOST).filter(|value| !value.trim().is_empty());
    let from = if variable.is_some() { UrlFrom::OllamaHost } else { UrlFrom::Default };
    let url = ollama_url::from_environment(variable.as_deref()).map_err(|problem| Problem {
        message: format!("in the environment variable {OLLAMA_HOST} {}", problem.message),
        hint: problem.hint,
    });
    Some((cx.checked(&table.at, url)?, from))
}

fn missing_script(cx: &Context<'_>, script: &str) -> Problem {
    Problem {
        message: format!("the SQL file {} does not exist", quoted(script)),
        hint: Some(cx.similar_path(script).unwrap_or_else(|| {
            "paths are relative to the folder of the application file".to_owned()
        })),
    }
}
