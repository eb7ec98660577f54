//! Several components as one: middleware in front of a service, and components that serve imports of others.
//!
//! What comes of it is a component like any other, and goes the way of any other. Only what people are told of it names
//! its parts. The same parts always make the same bytes.

mod circle;
mod fault;
mod graph;

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wac_graph::types::are_semver_compatible;

use crate::compile::ComponentFile;
use wasm_host_limits as limits;

pub use fault::{At, Fault, Faults};
pub(crate) use graph::{Composed, compose as put_together};

/// One component of a composition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is called by where one part is meant. No other part of the composition has it.
    pub name: String,
    pub role: Role,
    /// SHA-256.
    pub digest: String,
    /// Where it came from, for people.
    pub path: String,
    /// Of its file, in bytes.
    pub size: u64,
    /// What it imports and no other part serves. Known where it was composed.
    #[serde(skip)]
    pub imports: Vec<String>,
    /// Its file. None: it is kept by its digest.
    #[serde(skip)]
    pub bytes: Option<Arc<[u8]>>,
}

/// What a part is there for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It stands in front of what follows it.
    Middleware,
    /// What stands behind all middleware.
    Service,
    /// It serves these imports of other parts, named as the application file names them.
    With(Vec<String>),
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Middleware => formatter.write_str("middleware"),
            Self::Service => formatter.write_str("service"),
            Self::With(keys) => write!(formatter, "serves {}", keys.join(" and ")),
        }
    }
}

impl Part {
    pub fn new(name: String, role: Role, file: ComponentFile) -> Self {
        Self {
            name,
            role,
            digest: file.digest.full().to_string(),
            path: file.path.display().to_string(),
            size: file.bytes.len() as u64,
            imports: Vec::new(),
            bytes: Some(file.bytes),
        }
    }

    /// The same part of another file.
    pub fn replaced(&self, file: ComponentFile) -> Self {
        Self::new(self.name.clone(), self.role.clone(), file)
    }

    /// What is known of it without its file.
    pub fn without_bytes(&self) -> Self {
        Self { bytes: None, ..self.clone() }
    }

    /// The interfaces that it is to serve, as the application file names them.
    pub fn serves(&self) -> &[String] {
        match &self.role {
            Role::With(keys) => keys,
            Role::Middleware | Role::Service => &[],
        }
    }
}

/// Make one component of parts: first the middleware, the outermost first, then the service, then what serves imports.
/// In this process, for programs that are not the host and for components that their user has chosen to trust: what comes
/// from anyone is put together by [`crate::compile::Compiler::compose`]. For a thread that may wait.
///
/// # Errors
/// All that is wrong with the parts.
pub fn compose_now(parts: Vec<Part>) -> Result<ComponentFile, Faults> {
    check_bounds(&parts)?;
    let Composed { bytes, imports } = put_together(&parts)?;
    finished(parts, imports, bytes)
}

/// What came of parts, as the component that it is.
pub(crate) fn finished(
    mut parts: Vec<Part>,
    imports: Vec<Vec<String>>,
    bytes: Vec<u8>,
) -> Result<ComponentFile, Faults> {
    for (part, imports) in parts.iter_mut().zip(imports) {
        part.imports = imports;
    }
    let path = PathBuf::from(called(&parts));
    let file = ComponentFile::from_bytes(bytes, path);
    let file = file.map_err(|error| Faults::of(At::Whole, format!("{error:#}")))?;
    Ok(ComponentFile { parts: parts.into(), ..file })
}

/// What a composition is called, for people.
pub(crate) fn called(parts: &[Part]) -> String {
    parts.iter().map(|part| &*part.path).collect::<Vec<_>>().join(BETWEEN_PARTS)
}

/// What stands between the parts in a composition's name.
pub const BETWEEN_PARTS: &str = " + ";

pub(crate) fn check_bounds(parts: &[Part]) -> Result<(), Faults> {
    let (count, most) = (parts.len(), limits::COMPOSITION_PARTS);
    if count > most {
        let what = format!("it has {count} parts; a composition has at most {most}");
        return Err(Faults::of(At::Whole, what));
    }
    let (size, most) = (parts.iter().map(|part| part.size).sum::<u64>(), limits::COMPOSITION_BYTES);
    if size > most {
        let what =
            format!("its parts have {size} bytes together; a composition has at most {most}");
        return Err(Faults::of(At::Whole, what));
    }
    Ok(())
}

/// The names of the parts that import this, in one of its compatible versions.
pub fn importers(parts: &[Part], import: &str) -> Vec<String> {
    let imports =
        |part: &&Part| part.imports.iter().any(|name| are_semver_compatible(name, import));
    parts.iter().filter(imports).map(|part| part.path.clone()).collect()
}

/// Names that no two parts have, from names that any may have.
pub fn distinct(names: Vec<String>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for name in names {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|it| !taken.contains(it));
        taken.push(free.unwrap_or(name));
    }
    taken
}

#[cfg(test)]
mod tests;
