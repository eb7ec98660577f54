//! `[http]` and `[admin]`: where the host listens, and what it grants to whoever connects.
//!
//! It exists to turn two tables into two addresses, the bounds of the public one, and its certificate. A
//! certificate is read and tried here, so that a wrong one is told with its line.

use super::context::{Context, Located, Span};
use super::diagnostic::{Problem, quoted};
use super::file::Table;
use super::interpolate::HOLE;
use super::{HttpConfig, HttpLimits, Listen, disk, proxies, value};
use crate::limits::http as limits;
use crate::tls::ServerTls;

pub(super) const HTTP_PORT: u16 = 8080;
pub(super) const ADMIN_PORT: u16 = 8081;

const HTTP_KEYS: &[&str] = &[
    "listen",
    "tls",
    "connections",
    "connections-per-client",
    "keep-alive",
    "handshake-timeout",
    "header-timeout",
    "max-header",
    "max-headers",
    "body-idle",
    "write-idle",
    "streams",
    "drain",
    proxies::KEY,
];

const TLS_EXAMPLE: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";

/// `[http]`, and where its address stands.
pub(super) fn http(cx: &Context<'_>, root: &Table<'_>) -> (HttpConfig, Span) {
    let table = root.section(cx, "http", HTTP_KEYS);
    let listen = listen(cx, &table, HTTP_PORT);
    let header_bytes = table.size(cx, "max-header", limits::HEADER_BYTES);
    let limits = HttpLimits {
        connections: table.count(cx, "connections", limits::CONNECTIONS),
        connections_per_client: table.count(
            cx,
            "connections-per-client",
            limits::CONNECTIONS_PER_CLIENT,
        ),
        keep_alive: table.duration(cx, "keep-alive", limits::KEEP_ALIVE),
        handshake_timeout: table.duration(cx, "handshake-timeout", limits::HANDSHAKE_TIMEOUT),
        header_timeout: table.duration(cx, "header-timeout", limits::HEADER_TIMEOUT),
        header_bytes: usize::try_from(header_bytes).unwrap_or(usize::MAX),
        headers: table.count(cx, "max-headers", limits::HEADERS),
        body_idle: table.duration(cx, "body-idle", limits::BODY_IDLE),
        write_idle: table.duration(cx, "write-idle", limits::WRITE_IDLE),
        streams: table.count(cx, "streams", limits::STREAMS),
        drain: table.duration(cx, "drain", limits::DRAIN),
    };
    let trusted_proxies = proxies::trusted_proxies(cx, &table);
    let config = HttpConfig { listen: listen.value, limits, tls: tls(cx, &table), trusted_proxies };
    (config, listen.at)
}

pub(super) fn admin(cx: &Context<'_>, root: &Table<'_>) -> Located<Listen> {
    let Some((at, table)) = root.table(cx, "admin", "[admin]") else {
        return Located { value: Listen::local(ADMIN_PORT), at: root.at("admin") };
    };
    listen(cx, &Table::open(cx, "[admin]", at, table, &["listen"]), ADMIN_PORT)
}

fn listen(cx: &Context<'_>, table: &Table<'_>, port: u16) -> Located<Listen> {
    let written = table.text(cx, "listen");
    let at = written.as_ref().map_or_else(|| table.at.clone(), |written| written.at.clone());
    let value = written.and_then(|written| cx.checked(&written.at, value::listen(&written.value)));
    Located { value: value.unwrap_or(Listen::local(port)), at }
}

pub(super) fn check_listeners(
    cx: &Context<'_>,
    http: &Listen,
    http_at: &Span,
    admin: &Located<Listen>,
) {
    if http.collides_with(&admin.value) {
        let free = http.port.checked_add(1).unwrap_or(ADMIN_PORT);
        // At the one that was written, if only one was.
        let at = if admin.at.is_empty() { http_at } else { &admin.at };
        cx.error(
            at,
            Problem::new(
                format!("[http] and [admin] both listen on {}", admin.value),
                format!("give [admin] another port, as in listen = \"127.0.0.1:{free}\""),
            ),
        );
    }
    if !admin.value.is_loopback() {
        cx.warning(
            &admin.at,
            Problem::new(
                "other machines can reach [admin], which asks for no password",
                "listen on 127.0.0.1",
            ),
        );
    }
}

fn tls(cx: &Context<'_>, http: &Table<'_>) -> Option<ServerTls> {
    let (at, table) = http.table(cx, "tls", TLS_EXAMPLE)?;
    let table = Table::open(cx, "tls", at, table, &["certificate", "key"]);
    for key in ["certificate", "key"] {
        if !table.has(key) {
            cx.missing(
                &table.at,
                Problem::new(
                    format!("'tls' has no {}", quoted(key)),
                    format!("as in {TLS_EXAMPLE}"),
                ),
            );
        }
    }
    let certificate = table.text(cx, "certificate").and_then(|path| {
        let pem = cx.checked(&path.at, disk::pem(&cx.folder.join(&path.value)))?;
        Some(Located { value: pem, at: path.at })
    });
    let key = key(cx, &table);
    let (certificate, key) = (certificate?, key?);
    match ServerTls::new(&certificate.value, &key.value) {
        Ok(tls) => Some(tls),
        Err(error) => {
            let at = if error.of_key { &key.at } else { &certificate.at };
            cx.error(at, Problem::new(error.what, error.fix));
            None
        }
    }
}

/// The text of the key: of the file that is named, or what a `${...}` stands for.
fn key(cx: &Context<'_>, table: &Table<'_>) -> Option<Located<String>> {
    let written = table.interpolated(cx, "key")?;
    if written.value.skeleton.contains("-----BEGIN") {
        cx.error(
            &written.at,
            Problem::new(
                "the private key stands in the application file",
                "name the file that holds it, or take it from the environment with ${NAME}",
            ),
        );
        return None;
    }
    if written.value.value.contains("-----BEGIN") {
        return Some(Located { value: written.value.value, at: written.at });
    }
    if written.value.skeleton.contains(HOLE) {
        // It is a secret that is no key: nothing of it is repeated.
        cx.error(
            &written.at,
            Problem::new(
                "what stands for 'key' is not a private key",
                "a ${...} must hold the text of a PEM file; write the path of one without it",
            ),
        );
        return None;
    }
    let pem = cx.checked(&written.at, disk::pem(&cx.folder.join(&written.value.value)))?;
    Some(Located { value: pem, at: written.at })
}
