//! `[http]` and `[admin]`: where the host listens, and what it grants to its clients.
//!
//! It exists to turn two tables into two addresses, the bounds of the public one, and its certificate.

use super::origin::{HostName, HostNames};
use super::tls::tls;
use super::{HttpConfig, HttpLimits, Listen, proxies, value};
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::context::{Context, Located, Span};
use wasm_host_settings::diagnostic::Problem;
use wasm_host_settings::file::Table;

pub(super) const HTTP_PORT: u16 = 8080;
pub(super) const ADMIN_PORT: u16 = 8081;

/// Before its settings.
const HTTP_KEYS: [&str; 3] = ["listen", "hosts", "tls"];

/// `[http]`, and where its address stands.
pub(super) fn http(cx: &Context<'_>, root: &Table<'_>) -> (HttpConfig, Span) {
    let keys = [&HTTP_KEYS[..], &HttpLimits::keys(), &[proxies::KEY]].concat();
    let table = root.section(cx, "http", &keys);
    let listen = listen(cx, &table, HTTP_PORT);
    let limits = table.settings(cx);
    let hosts = hosts(cx, &table);
    let trusted_proxies = proxies::trusted_proxies(cx, &table);
    let tls = tls(cx, &table);
    (HttpConfig { listen: listen.value, limits, tls, hosts, trusted_proxies }, listen.at)
}

/// `[admin]`: the control plane, and where orchestrators ask.
pub(super) fn admin(
    cx: &Context<'_>,
    root: &Table<'_>,
) -> (Located<Listen>, Option<Located<Listen>>) {
    let Some((at, table)) = root.table(cx, "admin", "[admin]") else {
        return (Located { value: Listen::local(ADMIN_PORT), at: root.at("admin") }, None);
    };
    let table = Table::open(cx, "[admin]", at, table, &["listen", "probes"]);
    let probes = table.text(cx, "probes").and_then(|written| {
        let value = cx.checked(&written.at, value::listen(&written.value))?;
        Some(Located { value, at: written.at })
    });
    (listen(cx, &table, ADMIN_PORT), probes)
}

fn hosts(cx: &Context<'_>, http: &Table<'_>) -> HostNames {
    let written = http.texts(cx, "hosts").unwrap_or_default();
    let parse = |name: &Located<String>| cx.checked(&name.at, HostName::parse(&name.value));
    HostNames::new(written.iter().filter_map(parse).collect())
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
    probes: Option<&Located<Listen>>,
) {
    for (table, other) in [("[http]", http), ("[admin]", &admin.value)] {
        let Some(probes) = probes.filter(|probes| probes.value.collides_with(other)) else {
            continue;
        };
        let message = format!("'probes' and {table} both listen on {}", probes.value);
        let hint = "give 'probes' another port, as in probes = \"0.0.0.0:8082\"";
        cx.error(&probes.at, Problem::new(message, hint));
    }
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
                "other machines can reach [admin], and its token goes to it in clear",
                "listen on 127.0.0.1",
            ),
        );
    }
}
