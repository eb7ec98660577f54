//! `[replicas]`: where the replicas of an application come to one decision, and what one does that is cut off.
//!
//! It must not know how they do that.

use super::ReplicasConfig;
use super::service::Draft;
use wasm_host_capabilities::postgres::{database_authorities, database_url};
use wasm_host_limits::replicas::ReplicaLimits;
use wasm_host_limits::setting::Settings as _;
use wasm_host_settings::context::Context;
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;

/// Before its settings.
const KEYS: [&str; 3] = ["url", "ca", "lost"];

/// What `[replicas]` says.
pub(super) enum Written {
    /// There is no such table, or it is wrong.
    Nothing,
    /// Its address is empty: the file is for several hosts, and here there is one.
    Alone,
    Replicas(ReplicasConfig),
}

pub(super) fn replicas(cx: &Context<'_>, root: &Table<'_>) -> Written {
    match root.has("replicas") {
        true => written(cx, root).unwrap_or(Written::Nothing),
        false => Written::Nothing,
    }
}

fn written(cx: &Context<'_>, root: &Table<'_>) -> Option<Written> {
    let keys = [&KEYS[..], &ReplicaLimits::keys()].concat();
    let table = root.section(cx, "replicas", &keys);
    let limits = table.settings(cx);
    let fences = match table.text(cx, "lost") {
        Some(lost) if lost.value == "fence" => true,
        Some(lost) if lost.value != "serve" => {
            let message = format!("'lost' cannot be {}", quoted(&lost.value));
            let hint =
                "write \"serve\" (it serves on) or \"fence\" (it answers 503 until it is back)";
            cx.error(&lost.at, Problem::new(message, hint));
            false
        }
        _ => false,
    };
    if !table.has("url") {
        let message = "[replicas] has no 'url'";
        let hint = "write url = \"${REPLICAS_URL}\", a Postgres database that no service is granted, or remove the table";
        cx.missing(&root.at("replicas"), Problem::new(message, hint));
        return None;
    }
    let text = table.interpolated(cx, "url");
    let is_empty = text.as_ref().is_some_and(|text| text.value.value.trim().is_empty());
    let text = text.filter(|_| !is_empty);
    let url = text.and_then(|text| cx.checked(&text.at, database_url(&text.value)));
    // Also where the address is not known: an image has the file that it names.
    let ca = database_authorities(cx, &table, url.as_ref());
    if is_empty {
        return Some(Written::Alone);
    }
    Some(Written::Replicas(ReplicasConfig { url: url?, ca, fences, limits }))
}

/// Replicas hand each other whole versions and not what those are put together from, so that a swap of one part would
/// lose the others.
pub(super) fn compositions(cx: &Context<'_>, drafts: &[Draft]) {
    for draft in drafts {
        let Some(component) = draft.config.as_ref().and_then(|service| service.component()) else {
            continue;
        };
        if component.middleware.is_empty() && component.with.is_empty() {
            continue;
        }
        let message = format!(
            "{} is put together of parts, which [replicas] cannot swap yet",
            quoted(&draft.name)
        );
        let hint = "put its parts together beforehand (`wac plug`) and name the file as 'component', or remove [replicas]";
        cx.error(&draft.at, Problem::new(message, hint));
    }
}
