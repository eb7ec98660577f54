//! From what an application file says of a service to the parts of its composition, and back to the lines that name them.

use std::path::Path;

use anyhow::{Error, Result};
use futures_util::future::join_all;

use crate::cli;
use crate::components::Pulls;
use wasm_host_config::{ComponentConfig, ComponentSource, Config, PartConfig, ServiceConfig};
use wasm_host_engine::compile::ComponentFile;
use wasm_host_engine::compose::{At, Fault, Faults, Part, Role, compose_now, distinct};

/// The name of a component's file without its ending, of its crate, or the last of its repository's.
pub(crate) fn name(source: &ComponentSource) -> String {
    match source {
        ComponentSource::Crate(name) => name.clone(),
        ComponentSource::File(path) => name_of(path),
        ComponentSource::Registry(reference) => {
            reference.repository.rsplit('/').next().unwrap_or_default().to_owned()
        }
    }
}

/// The name of a file without its ending.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is a part, in the order in which a composition has them: middleware, the service, what serves imports. A component
/// that serves several is one part.
fn roles(component: &ComponentConfig) -> Vec<(Role, &ComponentSource)> {
    let middleware = component.middleware.iter().map(|part| (Role::Middleware, &part.source));
    let mut roles: Vec<_> = middleware.chain([(Role::Service, &component.source)]).collect();
    let first = roles.len();
    for (key, PartConfig { source, .. }) in &component.with {
        let known = roles.iter_mut().skip(first).find(|(_, known)| *known == source);
        match known {
            Some((Role::With(keys), _)) => keys.push(key.clone()),
            _ => roles.push((Role::With(vec![key.clone()]), source)),
        }
    }
    roles
}

/// The names of the parts of a service, each with where it comes from; the service's own is none of them.
pub(crate) fn named(component: &ComponentConfig) -> Vec<(String, &ComponentSource, bool)> {
    let roles = roles(component);
    let names = distinct(roles.iter().map(|(_, source)| name(source)).collect());
    let all = names.into_iter().zip(roles);
    all.map(|(name, (role, source))| (name, source, role == Role::Service)).collect()
}

/// The parts of a service with their files.
///
/// # Errors
/// [`Faults`]: all files that are not there, or no components.
pub(crate) async fn parts(
    pulls: &Pulls,
    config: &Config,
    component: &ComponentConfig,
) -> Result<Vec<Part>> {
    let roles = roles(component);
    let names = distinct(roles.iter().map(|(_, source)| name(source)).collect());
    let files = join_all(roles.iter().map(|(_, source)| pulls.file(config, source))).await;
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    for (number, ((name, (role, source)), file)) in
        names.into_iter().zip(roles).zip(files).enumerate()
    {
        match file {
            Ok(file) => parts.push(Part::new(name, role, file)),
            Err(error) => {
                let (at, message) = (At::Part(number), format!("{error:#}"));
                faults.push(Fault { at, message, hint: unbuilt(config, source) });
            }
        }
    }
    if faults.is_empty() { Ok(parts) } else { Err(Error::new(Faults(faults))) }
}

/// A component put together with what the command line names. For a thread that may wait.
///
/// # Errors
/// A file cannot be read, or [`Faults`].
pub(crate) fn by_hand(own: ComponentFile, composed: &cli::Composed) -> Result<ComponentFile> {
    let cli::Composed { middleware, with } = composed;
    if middleware.is_empty() && with.is_empty() {
        return Ok(own);
    }
    let mut parts = Vec::new();
    for path in middleware {
        parts.push((Role::Middleware, ComponentFile::read_now(path)?));
    }
    parts.push((Role::Service, own));
    for (key, path) in with {
        parts.push((Role::With(vec![key.clone()]), ComponentFile::read_now(path)?));
    }
    let names = distinct(parts.iter().map(|(_, file)| name_of(&file.path)).collect());
    let parts =
        names.into_iter().zip(parts).map(|(name, (role, file))| Part::new(name, role, file));
    Ok(compose_now(parts.collect())?)
}

/// How a file is built that is not there yet, where the application file says so.
pub(crate) fn unbuilt(config: &Config, source: &ComponentSource) -> Option<String> {
    if crate::application::component_path(config, source)?.exists() {
        return None;
    }
    match source {
        ComponentSource::Crate(name) => {
            Some(format!("build components/{name} with `cargo xtask build`"))
        }
        _ => {
            let is_built = |service: &&ServiceConfig| {
                let component = service.component();
                component.is_some_and(|it| it.build.is_some() && it.source == *source)
            };
            let service = config.services.values().find(is_built)?;
            Some(format!("build it with `wasm-host build {}`", service.name))
        }
    }
}

/// Line and column of what a fault is about.
pub(crate) fn place(
    service: &ServiceConfig,
    component: &ComponentConfig,
    at: &At,
) -> (usize, usize) {
    let of_service = (service.line, usize::from(service.line > 0));
    let of_part = |part: &PartConfig| (part.line, part.column);
    let of_key = |key: &str| {
        let found = component.with.iter().find(|(interface, _)| interface == key);
        found.map_or(of_service, |(_, part)| of_part(part))
    };
    match at {
        At::Whole => of_service,
        At::Key(key) => of_key(key),
        At::Part(number) => match roles(component).into_iter().nth(*number) {
            Some((Role::Middleware, _)) => {
                component.middleware.get(*number).map_or(of_service, of_part)
            }
            Some((Role::With(keys), _)) => keys.first().map_or(of_service, |key| of_key(key)),
            Some((Role::Service, _)) | None => of_service,
        },
    }
}
