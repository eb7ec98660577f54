//! `wasm-host check`: everything that `serve` checks, without a port or a backend.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::application;
use crate::backends::Backends;
use crate::cli::{self, Format};
use crate::colour::told;
use crate::components::Components;
use crate::exit::Exit;
use crate::spin::{self, Note};
use wasm_host_config::{Config, ServiceConfig};
use wasm_host_engine::Engine;
use wasm_host_engine::compile::CodeCache;
use wasm_host_otlp::Otlp;
use wasm_host_service::loader::Loader;
use wasm_host_service::registry::{Registry, RegistryHandle};
use wasm_host_settings::bounds::{Bound, FixedBound};
use wasm_host_settings::diagnostic::{Diagnostic, Severity};
use wasm_host_system::output;
use wasm_host_system::table;
use wasm_host_telemetry::Telemetry;

/// Check the application file and every component that it names.
pub async fn check(args: cli::Check) -> Result<(), Exit> {
    let outcome = if args.limits { read(&args) } else { findings(&args).await };
    match outcome {
        Ok(config) if args.limits => {
            // Standard output has the bounds and nothing else.
            tell(Format::Table, &config.warnings);
            show(args.output.format, &config)
        }
        Ok(config) => {
            tell(args.output.format, &config.warnings);
            if args.output.format == Format::Table {
                let count = config.services.len();
                let services = if count == 1 { "service" } else { "services" };
                output::show(&format!("{}: ok, {count} {services}\n", args.application.display()));
            }
            Ok(())
        }
        Err(Findings::Wrong(wrong)) if args.output.format == Format::Json => {
            tell(Format::Json, &wrong);
            Err(Exit::Usage(String::new()))
        }
        Err(Findings::Wrong(wrong)) => Err(wrong.into()),
        Err(Findings::Failed(error)) => Err(Exit::Failed(error)),
    }
}

enum Findings {
    Wrong(Vec<Diagnostic>),
    Failed(anyhow::Error),
}

fn read(args: &cli::Check) -> Result<Arc<Config>, Findings> {
    application::read(&args.application)
        .map(Arc::new)
        .map_err(|wrong| Findings::Wrong(wrong.iter().cloned().collect()))
}

async fn findings(args: &cli::Check) -> Result<Arc<Config>, Findings> {
    let config = read(args)?;
    if config.telemetry.is_enabled {
        let read = |name: &str| std::env::var(name).ok();
        Otlp::check(read).map_err(|why| Findings::Wrong(vec![application::nameless(why)]))?;
    }
    let handle = RegistryHandle::default();
    let backends = Backends::unconnected(&config, &handle).map_err(Findings::Failed)?;
    let loader = Loader {
        engine: Arc::new(Engine::new(config.limits.instances).map_err(Findings::Failed)?),
        runtimes: Arc::default(),
        cache: Arc::new(CodeCache::new(&config.state_dir)),
        compiler: application::compiler(&config).map_err(Findings::Failed)?,
        telemetry: Telemetry::off(),
    };
    let components = Components::new(&config, args.locked);
    let loaded = application::load(&config, &backends, &handle, &loader, &components, None, None)
        .await
        .map_err(Findings::Wrong)?;
    let crowded = loaded.crowded(&config);
    let of_spin = of_spin(&config, &loaded.registry);
    // What is locked is meant to stay, and needs no registry.
    let moved = if args.locked { Vec::new() } else { components.moved(&config).await };
    let mut config = Arc::unwrap_or_clone(config);
    config.warnings.extend(crowded.into_iter().chain(moved));
    config.warnings.extend(of_spin);
    Ok(Arc::new(config))
}

/// What components import of Spin's that is not granted or not answered.
fn of_spin(config: &Config, registry: &Registry) -> Vec<Diagnostic> {
    let of_service = |service: &ServiceConfig| {
        let granted: BTreeSet<_> =
            service.component()?.grants.resources.iter().map(|(key, _)| *key).collect();
        let version = registry.find(&service.name)?.active().stable.clone();
        let notes = spin::notes(&version.imports, &granted).into_iter();
        let told = notes.map(|Note { message, hint }| Diagnostic {
            file: config.file.clone().unwrap_or_default(),
            line: service.line,
            column: usize::from(service.line > 0),
            severity: Severity::Warning,
            message: format!("[service.{}]: {message}", service.name),
            hint: Some(hint),
        });
        Some(told.collect::<Vec<_>>())
    };
    config.services.values().filter_map(of_service).flatten().collect()
}

/// Every bound: what is in effect of those that the application file may set, then the fixed ones.
fn show(format: Format, config: &Config) -> Result<(), Exit> {
    let fixed = FixedBound::all();
    match format {
        Format::Json => {
            let settable = config.bounds.iter().map(Entry::Settable);
            table::json(&settable.chain(fixed.iter().map(Entry::Fixed)).collect::<Vec<_>>())?;
        }
        Format::Table => {
            let file = config.file.as_deref().unwrap_or_default();
            let rows: Vec<_> = config.bounds.iter().map(|bound| row(bound, file)).collect();
            let settable =
                table::render(["TABLE", "KEY", "VALUE", "DEFAULT", "RANGE", "SET"], &rows);
            let rows = fixed.into_iter().map(|bound| [bound.name, bound.value, bound.what]);
            let rows: Vec<_> = rows.collect();
            let fixed = table::render(["FIXED", "VALUE", "WHAT IT IS"], &rows);
            output::show(&format!("{settable}\n{fixed}"));
        }
    }
    Ok(())
}

/// One bound for programs: a fixed one has no `table`.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Settable(&'a Bound),
    Fixed(&'a FixedBound),
}

fn row(bound: &Bound, file: &str) -> [String; 6] {
    [
        format!("[{}]", bound.table),
        bound.key.clone(),
        bound.value.clone(),
        bound.default.clone(),
        format!("{} to {}", bound.minimum, bound.maximum),
        bound.line.map(|line| format!("{file}:{line}")).unwrap_or_else(|| "-".to_string()),
    ]
}

fn tell(format: Format, diagnostics: &[Diagnostic]) {
    match format {
        Format::Table => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("{}", told(&diagnostic.to_string())))
        }
        Format::Json => {
            let json = serde_json::to_string_pretty(diagnostics).unwrap_or_default();
            output::show(&format!("{json}\n"));
        }
    }
}
