//! The whole application file, top to bottom.
//!
//! It exists to run every step whatever the ones before it found, so that all mistakes are reported
//! at once, and to build a `Config` only when there are none. It must not do I/O.

use std::collections::BTreeMap;

use super::context::{Context, Located};
use super::diagnostic::{Diagnostics, Problem, Severity};
use super::file::Table;
use super::patience::{self, Backends};
use super::references::{self, Declared, Fallbacks};
use super::{Config, HostLimits, Source, http, record, resource, service, syntax, value, watch};
use crate::limits;

/// Where the host keeps what survives a restart: databases, compiled components.
pub(super) const STATE_DIR: &str = ".wasm-host";

/// What stands at the top of the file.
pub(super) const KEYS: &[&str] = &[
    "name", "http", "admin", "state", "postgres", "ollama", "service", "watch", "limits", "record",
];

const LIMITS_KEYS: &[&str] = &[
    "concurrent",
    "queue",
    "memory",
    "instances",
    "threads",
    "compile-cpu-timeout",
    "compile-memory",
];

pub(super) fn config(source: &Source<'_>) -> Result<Config, Diagnostics> {
    let mut cx = Context::new(source);
    let mut text = source.text.to_owned();
    let root = syntax::parse(&mut cx, &mut text);
    let config = read(&cx, &Table::open(&cx, "", 0..0, &root, KEYS));
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
    let (http, http_at) = http::http(cx, root);
    let admin = http::admin(cx, root);
    http::check_listeners(cx, &http.listen, &http_at, &admin);
    let state_dir = state_dir(cx, root);

    let mut postgres = BTreeMap::new();
    let mut postgres_declared = Declared::new();
    for (name, at, table) in root.named_tables(cx, "postgres") {
        check_name(cx, &name);
        postgres_declared.insert(name.value.to_owned(), at.clone());
        let config = resource::postgres(cx, name.value, at, table);
        postgres.extend(config.map(|config| (name.value.to_owned(), config)));
    }

    let mut ollama = BTreeMap::new();
    let mut ollama_declared = Declared::new();
    let mut fallbacks = Fallbacks::new();
    for (name, at, table) in root.named_tables(cx, "ollama") {
        check_name(cx, &name);
        ollama_declared.insert(name.value.to_owned(), at.clone());
        let (config, fallback) = resource::ollama(cx, name.value, at, table);
        ollama.extend(config.map(|config| (name.value.to_owned(), config)));
        fallbacks.extend(fallback.map(|fallback| (name.value.to_owned(), fallback)));
    }

    let mut drafts = Vec::new();
    for (name, at, table) in root.named_tables(cx, "service") {
        check_name(cx, &name);
        drafts.push(service::service(cx, name.value, at, table));
    }
    // In the order of the file, so that of two that collide the later one is told.
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

    let watch = watch::watch(cx, root);
    let limits = host_limits(cx, &root.section(cx, "limits", LIMITS_KEYS));
    let redact = record::redact(cx, root);

    references::routes(cx, &drafts);
    references::grants(cx, "postgres", &postgres_declared, &drafts, |draft| {
        draft.postgres.as_ref()
    });
    references::grants(cx, "ollama", &ollama_declared, &drafts, |draft| draft.ollama.as_ref());
    references::calls(cx, &drafts);
    references::fallbacks(cx, &fallbacks, &drafts);
    references::reachable(cx, &fallbacks, &drafts);
    patience::settle(cx, &mut drafts, &Backends { postgres: &postgres, ollama: &ollama });

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
        state_dir: cx.folder.join(state_dir),
        postgres,
        ollama,
        services,
        watch,
        limits,
        bounds: Vec::new(),
        redact,
        secrets: cx.secrets(),
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

pub(super) fn host_limits(cx: &Context<'_>, table: &Table<'_>) -> HostLimits {
    HostLimits {
        concurrent: table.count(cx, "concurrent", limits::HOST_CONCURRENT),
        queue: table.count(cx, "queue", limits::HOST_QUEUE),
        memory_bytes: table.size(cx, "memory", limits::HOST_MEMORY_BYTES),
        instances: table.count(cx, "instances", limits::HOST_INSTANCES),
        threads: table.count(cx, "threads", limits::HOST_THREADS),
        compile_cpu: table.duration(cx, "compile-cpu-timeout", limits::compiler::CPU_TIMEOUT),
        compile_memory_bytes: table.size(cx, "compile-memory", limits::compiler::MEMORY_BYTES),
    }
}

fn check_name(cx: &Context<'_>, name: &Located<&str>) {
    cx.checked(&name.at, value::name(name.value));
}
