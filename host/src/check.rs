//! `wasm-host check`: everything that `serve` checks, without a port or a backend.

use std::sync::Arc;

use crate::application;
use crate::backends::Backends;
use crate::cli::{self, Format};
use crate::config::{Config, Diagnostic};
use crate::engine::Engine;
use crate::engine::compile::CodeCache;
use crate::exit::Exit;
use crate::service::loader::Loader;
use crate::service::registry::RegistryHandle;

/// Check the application file and every component that it names.
pub async fn check(args: cli::Check) -> Result<(), Exit> {
    match findings(&args).await {
        Ok(config) => {
            tell(args.output.format, &config.warnings);
            if args.output.format == Format::Table {
                let count = config.services.len();
                let services = if count == 1 { "service" } else { "services" };
                println!("{}: ok, {count} {services}", args.application.display());
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

async fn findings(args: &cli::Check) -> Result<Arc<Config>, Findings> {
    let config = application::read(&args.application)
        .map_err(|wrong| Findings::Wrong(wrong.iter().cloned().collect()))?;
    let config = Arc::new(config);
    let handle = RegistryHandle::default();
    let backends = Backends::unconnected(&config, &handle).map_err(Findings::Failed)?;
    let loader = Loader {
        engine: Arc::new(Engine::new().map_err(Findings::Failed)?),
        cache: Arc::new(CodeCache::new(&config.state_dir)),
    };
    application::load(&config, &backends, &handle, &loader, None).await.map_err(Findings::Wrong)?;
    Ok(config)
}

fn tell(format: Format, diagnostics: &[Diagnostic]) {
    match format {
        Format::Table => diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}")),
        Format::Json => {
            println!("{}", serde_json::to_string_pretty(diagnostics).unwrap_or_default());
        }
    }
}
