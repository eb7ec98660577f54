//! `[telemetry]`: what is seen of requests, what is kept of it, and what is taken from others.
//!
//! It must not know what becomes of it.

use super::service::Draft;
use super::{TelemetryConfig, route};
use wasm_host_limits::intake::INTAKE_KEY_BYTES;
use wasm_host_limits::setting::Settings as _;
use wasm_host_limits::telemetry::TelemetryLimits;
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;
use wasm_host_settings::secret::Secret;

/// Before its settings.
const KEYS: [&str; 4] = ["enabled", "capture-messages", KEY, ROUTE];

const KEY: &str = "intake-key";
const ROUTE: &str = "page-route";

/// What spans of pages are kept as.
const BROWSER: &str = "browser";

/// Below the route, where spans are sent to.
const TRACES: &str = "/v1/traces";

/// `[telemetry]`, and where its route stands.
pub(super) fn telemetry(
    cx: &Context<'_>,
    root: &Table<'_>,
) -> (TelemetryConfig, Option<Located<String>>) {
    let keys = [&KEYS[..], &TelemetryLimits::keys()].concat();
    let table = root.section(cx, "telemetry", &keys);
    let is_enabled = table.flag(cx, "enabled").unwrap_or(true);
    let page_route = page_route(cx, &table);
    for key in [KEY, ROUTE] {
        if !is_enabled && table.has(key) {
            let message = format!("with enabled = false nothing is taken, whatever '{key}' says");
            cx.warning(&table.at(key), Problem::new(message, "remove one of the two"));
        }
    }
    let config = TelemetryConfig {
        is_enabled,
        captures_messages: table.flag(cx, "capture-messages").unwrap_or(false),
        intake_key: intake_key(cx, &table),
        page_route: page_route.as_ref().map(|route| route.value.clone()),
        limits: table.settings(cx),
    };
    (config, page_route)
}

fn intake_key(cx: &Context<'_>, table: &Table<'_>) -> Option<Secret> {
    let key = table.interpolated(cx, KEY)?;
    let wrong = |message: &str, hint: &str| {
        cx.error(&key.at, Problem::new(message, hint));
        None
    };
    if !key.value.is_secret() {
        return wrong(
            "the key in 'intake-key' stands in the file",
            "take it from the environment with ${NAME} or from a file with ${file:/path}",
        );
    }
    let value = &key.value.value;
    if value.len() < INTAKE_KEY_BYTES {
        let message =
            format!("the key in 'intake-key' has fewer than {INTAKE_KEY_BYTES} characters");
        return wrong(&message, "make one with `openssl rand -hex 32`");
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong(
            "the key in 'intake-key' has characters that cannot stand in a header",
            "make one with `openssl rand -hex 32`",
        );
    }
    Some(Secret::new(value.clone()))
}

fn page_route(cx: &Context<'_>, table: &Table<'_>) -> Option<Located<String>> {
    let written = table.text(cx, ROUTE)?;
    let value = cx.checked(&written.at, route::normalised(&written.value))?;
    if value == "/" {
        let message = "'page-route' is '/', which has the paths of services below it";
        cx.error(&written.at, Problem::new(message, "give it one of its own, such as \"/otlp\""));
        return None;
    }
    Some(Located { value, at: written.at })
}

/// The route of pages is of no service, and no service is taken for a page.
pub(super) fn check(cx: &Context<'_>, page_route: Option<&Located<String>>, drafts: &[Draft]) {
    let Some(page) = page_route else { return };
    let whole = format!("{}{TRACES}", page.value);
    for draft in drafts {
        let Some(route) = draft.route.as_ref() else { continue };
        let is_within = route.value.len() >= page.value.len()
            && whole
                .strip_prefix(&route.value)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_within {
            let message = format!(
                "service {} (line {}) has the route {}, and pages are to send their spans to {}",
                quoted(&draft.name),
                cx.line(&route.at),
                quoted(&route.value),
                quoted(&whole)
            );
            let hint = "change 'page-route', or 'route' of the service";
            cx.error(&page.at, Problem::new(message, hint));
        }
    }
    if let Some(draft) = drafts.iter().find(|draft| draft.name == BROWSER) {
        let message = format!(
            "spans of pages are kept as those of '{BROWSER}', and a service has that name (line {})",
            cx.line(&draft.at)
        );
        cx.error(&page.at, Problem::new(message, "rename the service, or remove 'page-route'"));
    }
}
