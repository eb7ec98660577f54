//! The whole application file, top to bottom, with all mistakes told at once.
//!
//! It exists to run every step whatever the ones before it found, and to build a `Config` only when there are none. It must not do I/O.

use std::collections::BTreeMap;

use super::references::{self, Declared, Fallbacks};
use super::replicas::Written;
use super::{
    Config, HostLimits, Resources, deploy, http, patience, record, replicas, service, syntax,
    telemetry, watch,
};
use wasm_host_capabilities as capability;
use wasm_host_limits::setting::Settings as _;
use wasm_host_oci::settings::registries;
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Diagnostics, Problem, Severity};
use wasm_host_settings::file::Table;
use wasm_host_settings::value;

/// Where the host keeps what survives a restart: databases, compiled components.
pub(super) const STATE_DIR: &str = ".wasm-host";

/// What stands at the top of the file: before the tables of capabilities, and after them.
const FIRST_KEYS: &[&str] = &["name", "http", "admin", "state"];
const OTHER_KEYS: &[&str] = &[
    "service",
    "registry",
    "trust",
    "watch",
    "limits",
    "record",
    "telemetry",
    "replicas",
    "deploy",
];

/// All that may stand at the top of the file.
pub(super) fn keys() -> Vec<&'static str> {
    let declaring = capability::ALL.iter().map(|capability| capability.key());
    FIRST_KEYS.iter().copied().chain(declaring).chain(OTHER_KEYS.iter().copied()).collect()
}

pub(super) fn config(text: &str, mut cx: Context<'_>) -> Result<Config, Diagnostics> {
    let mut text = text.to_owned();
    let root = syntax::parse(&mut cx, &mut text);
    let config = read(&cx, &Table::open(&cx, "", 0..0, &root, &keys()));
    let (found, bounds) = cx.into_found();
    let found = Diagnostics::new(found);
    let has_error = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    match config {
        Some(config) if !has_error => {
            Ok(Config { warnings: found.iter().cloned().collect(), bounds, ..config })
        }
        _ => Err(found),
    }
}

/// Every step runs, whatever the ones before it found. `None` only if one of them reported an
/// error.
fn read(cx: &Context<'_>, root: &Table<'_>) -> Option<Config> {
    let name = application_name(cx, root);
    cx.enter(name.as_deref().unwrap_or_default());
    let (http, http_at) = http::http(cx, root);
    let (admin, probes) = http::admin(cx, root);
    http::check_listeners(cx, &http.listen, &http_at, &admin, probes.as_ref());
    let state_dir = state_dir(cx, root);

    let mut resources = Resources::default();
    let mut all_declared = Vec::new();
    let mut fallbacks = Fallbacks::new();
    for capability in capability::ALL {
        let key = capability.key();
        let mut declared = Declared::new();
        for (name, at, table) in root.named_tables(cx, key) {
            check_name(cx, &name);
            declared.insert(name.value.to_owned(), at.clone());
            let read = capability.read(cx, name.value, at, table);
            if let Some(resource) = read.resource {
                resources.insert(key, name.value, resource);
            }
            let stand_in = read.stand_in.map(|stand_in| ((key, name.value.to_owned()), stand_in));
            fallbacks.extend(stand_in);
        }
        all_declared.push((key, declared));
    }

    let mut drafts = Vec::new();
    for (name, at, table) in root.named_tables(cx, "service") {
        check_name(cx, &name);
        drafts.push(service::service(cx, name.value, at, table));
    }
    // In the order of the file, so that of two that collide the later one is reported.
    drafts.sort_by_key(|draft| draft.at.start);
    if drafts.is_empty() {
        cx.missing(
            &root.at("service"),
            Problem::new(
                "no service is declared",
                "add [service.<name>] with component = \"<crate or .wasm file>\" or static = \
                 \"<folder>\"",
            ),
        );
    }

    let registries = registries(cx, root);
    let watch = watch::watch(cx, root);
    let (telemetry, page_route) = telemetry::telemetry(cx, root);
    let (replicas, is_alone) = match replicas::replicas(cx, root) {
        Written::Nothing => (None, false),
        Written::Alone => (None, true),
        Written::Replicas(replicas) => (Some(replicas), false),
    };
    let limits: HostLimits = root.section(cx, "limits", &HostLimits::keys()).settings(cx);
    let redact = record::redact(cx, root);
    let deploy = deploy::deploy(cx, root);

    references::routes(cx, &drafts);
    telemetry::check(cx, page_route.as_ref(), &drafts);
    for (key, declared) in &all_declared {
        references::grants(cx, key, declared, &drafts);
    }
    references::apart(cx, &all_declared, &resources);
    references::in_memory(cx, &all_declared, &resources, limits.memory_bytes);
    references::calls(cx, &drafts);
    references::fallbacks(cx, &fallbacks, &drafts);
    references::reachable(cx, &fallbacks, &drafts);
    if replicas.is_some() {
        replicas::compositions(cx, &drafts);
    }
    patience::settle(cx, &mut drafts, &resources);

    let mut services = BTreeMap::new();
    for draft in drafts {
        services.insert(draft.name, draft.config?);
    }
    let watch = watch::with_default(cx, root, watch, &services);
    Some(Config {
        name: name?,
        file: Some(cx.file.to_owned()),
        folder: cx.folder.to_owned(),
        http,
        admin: admin.value,
        probes: probes.map(|probes| probes.value),
        state_dir: cx.folder.join(state_dir),
        resources,
        services,
        registries,
        watch,
        telemetry,
        replicas,
        is_alone,
        deploy,
        limits,
        bounds: Vec::new(),
        redact,
        secrets: cx.secrets(),
        named: cx.named(),
        warnings: Vec::new(),
    })
}

fn application_name(cx: &Context<'_>, root: &Table<'_>) -> Option<String> {
    if !root.has("name") {
        cx.missing(
            &(0..0),
            Problem::new("the application has no name", "begin the file with name = \"my-app\""),
        );
    }
    let name = root.text(cx, "name")?;
    cx.checked(&name.at, value::application_name(&name.value))?;
    Some(name.value)
}

fn state_dir(cx: &Context<'_>, root: &Table<'_>) -> String {
    let Some((at, table)) = root.table(cx, "state", "[state]") else {
        return STATE_DIR.to_owned();
    };
    let table = Table::open(cx, "[state]", at, table, &["dir"]);
    match table.text(cx, "dir") {
        Some(dir) if dir.value.is_empty() => {
            cx.error(&dir.at, Problem::new("'dir' is empty", "name a folder, or remove it"));
            STATE_DIR.to_owned()
        }
        Some(dir) => dir.value,
        None => STATE_DIR.to_owned(),
    }
}

fn check_name(cx: &Context<'_>, name: &Located<&str>) {
    cx.checked(&name.at, value::name(name.value));
}
