//! `wasm-host build`: the commands of the application file that make its components.

pub(crate) mod command;
pub(crate) mod toolchain;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Error;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::command::{Build, Output};
use crate::cli::{self, Format};
use crate::exit::Exit;
use crate::shutdown::Signals;
use wasm_host_config::{ComponentConfig, ComponentSource, Config};
use wasm_host_system::table;

/// What a build made, for programs.
#[derive(Serialize)]
struct Built {
    service: String,
    files: Vec<BuiltFile>,
    seconds: f64,
}

#[derive(Serialize)]
struct BuiltFile {
    file: PathBuf,
    bytes: u64,
}

/// Build the components of all services that say how, or of one.
///
/// # Errors
/// [`Exit::Usage`] if the file is wrong, or there is nothing to build; [`Exit::Failed`] if a command fails.
pub async fn build(args: cli::Build) -> Result<(), Exit> {
    // Secrets need not be here to build.
    let environment = |name: &str| std::env::var(name).ok();
    let (config, _) = Config::read_elsewhere(&args.application, &environment)?;
    let names = chosen(&config, args.service.as_deref())?;
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let all = async {
        let mut built = Vec::new();
        for name in names {
            built.extend(one(&config, name, &stop).await?);
        }
        Ok::<_, Exit>(built)
    };
    tokio::pin!(all);
    let built = tokio::select! {
        ended = &mut all => ended,
        signal = signals.while_starting() => {
            tracing::info!("{signal}: the build ends");
            stop.cancel();
            all.await
        }
    }?;
    // What people want to know stands beside the output of the commands.
    if args.output.format == Format::Json {
        table::json(&built)?;
    }
    Ok(())
}

/// The services that are built.
fn chosen<'c>(config: &'c Config, asked: Option<&str>) -> Result<Vec<&'c str>, Exit> {
    let built: Vec<&str> = config
        .services
        .values()
        .filter(|service| service.component().is_some_and(|component| component.build.is_some()))
        .map(|service| service.name.as_str())
        .collect();
    let usage = |text: String| Err(Exit::Usage(format!("wasm-host: error: {text}")));
    let Some(asked) = asked else {
        if built.is_empty() {
            return usage("no service has a 'build'; give one a list of words".to_owned());
        }
        return Ok(built);
    };
    match built.iter().find(|name| **name == asked) {
        Some(name) => Ok(vec![name]),
        None if config.services.contains_key(asked) => {
            usage(format!("the service {asked} has no 'build'; give it a list of words"))
        }
        None => {
            usage(format!("there is no service {asked} that is built, only {}", built.join(", ")))
        }
    }
}

/// Build one service, and say what came of it.
async fn one(config: &Config, name: &str, stop: &CancellationToken) -> Result<Option<Built>, Exit> {
    let component = config.services.get(name).and_then(|service| service.component());
    let Some(build) = component.and_then(|component| command(config, component)) else {
        return Ok(None);
    };
    eprintln!("{name}: {}", build.words.join(" "));
    let began = Instant::now();
    let failed = |reason: String| Exit::Failed(Error::msg(format!("{name}: {reason}")));
    build.run("", Output::Shown, stop).await.map_err(|failure| failed(failure.reason))?;
    let took = began.elapsed();
    let files = build.makes.into_iter().map(|file| {
        let bytes = std::fs::metadata(&file).map_or(0, |data| data.len());
        eprintln!("{name}: {}, {} in {}", file.display(), size(bytes), seconds(took));
        BuiltFile { file, bytes }
    });
    let files = files.collect();
    Ok(Some(Built { service: name.to_owned(), files, seconds: took.as_secs_f64() }))
}

/// Build the components that are not there yet, before an application is served that is watched.
///
/// # Errors
/// What the first one that fails was missing.
pub(crate) async fn missing(config: &Config) -> Result<(), Exit> {
    for service in config.services.values() {
        let build = service.component().and_then(|component| command(config, component));
        if build.is_some_and(|build| build.makes.iter().any(|file| !file.is_file())) {
            one(config, &service.name, &CancellationToken::new()).await?;
        }
    }
    Ok(())
}

/// How a component is built, with those that it is put together with. `None`: nothing does.
pub(crate) fn command(config: &Config, component: &ComponentConfig) -> Option<Build> {
    let words = component.build.clone()?;
    let folder = with_name(component.sources.as_deref()?);
    let programs = programs([&folder, &with_name(&config.folder)]);
    let others = component.sources().filter(|source| **source != component.source);
    let files = [&component.source].into_iter().chain(others).filter_map(|source| match source {
        ComponentSource::File(file) => Some(file.clone()),
        ComponentSource::Crate(_) | ComponentSource::Registry(_) => None,
    });
    let makes = files.collect();
    Some(Build { words, folder, programs, makes, timeout: config.watch.build_timeout })
}

/// Where programs are that only these folders have.
pub(crate) fn programs(places: [&Path; 2]) -> Vec<PathBuf> {
    let all = places.iter().flat_map(|place| toolchain::PROGRAMS.map(|below| place.join(below)));
    all.filter(|folder| folder.is_dir()).collect()
}

/// The working directory has no name in a path that is relative to it, and processes need one.
pub(crate) fn with_name(folder: &Path) -> PathBuf {
    match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    }
}

/// `163 kB`, `21.7 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        ..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_sizes() {
        assert_eq!([163_200, 999_999, 21_749_000].map(size), ["164 kB", "1000 kB", "21.7 MB"]);
    }
}
