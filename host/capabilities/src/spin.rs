//! The interfaces of Spin, answered by what services are granted here, so that components that were built with Spin's
//! SDKs run unmodified.
//!
//! Unlike this host's own interfaces they are linked whether or not their grant is there: toolchains import all of them
//! for a component that uses few. A call without its grant answers that access is denied.

mod absent;
mod bindings;
mod call;
pub mod key_value;
mod llm;
pub mod postgres;
pub mod sqlite;
mod variables;

use std::collections::BTreeSet;

use wasmtime::Engine;
use wasmtime::component::Linker;
use wasmtime::component::types::{Component, ComponentItem};

use crate::Capability;
use crate::instance::HasInstance;
use crate::keyvalue::Keyvalue;
use crate::ollama::Ollama;
use crate::postgres::Postgres;
use crate::sqlite::Sqlite;

/// An interface of Spin, as this host has it.
struct Interface {
    /// Package and interface.
    name: &'static str,
    /// The line of versions.
    version: &'static str,
    /// The key of the capability that answers it. None: nothing has to be granted.
    key: Option<&'static str>,
}

const INTERFACES: &[Interface] = &[
    Interface { name: "fermyon:spin/llm", version: "2", key: Some(Ollama::KEY) },
    Interface { name: "fermyon:spin/key-value", version: "2", key: Some(Keyvalue::KEY) },
    Interface { name: "spin:key-value/key-value", version: "3", key: Some(Keyvalue::KEY) },
    Interface { name: "fermyon:spin/postgres", version: "2", key: Some(Postgres::KEY) },
    Interface { name: "spin:postgres/postgres", version: "3", key: Some(Postgres::KEY) },
    Interface { name: "spin:postgres/postgres", version: "4", key: Some(Postgres::KEY) },
    Interface { name: "fermyon:spin/sqlite", version: "2", key: Some(Sqlite::KEY) },
    Interface { name: "spin:sqlite/sqlite", version: "3", key: Some(Sqlite::KEY) },
    Interface { name: "fermyon:spin/variables", version: "2", key: None },
    Interface { name: "spin:variables/variables", version: "3", key: None },
];

/// What this host does with an import that only Spin's components have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is answered by the grant of this key.
    Answered(&'static str),
    /// It is answered, and nothing has to be granted.
    Free,
    /// Its functions fail when they are called, and say this.
    Absent(&'static str),
}

/// What becomes of an import. None: it is none of Spin's.
pub fn standing(import: &str) -> Option<Standing> {
    match find(import) {
        Some(interface) => Some(interface.key.map_or(Standing::Free, Standing::Answered)),
        // Spin's components have it among the rest, and are served without it.
        None if import.starts_with("wasi:keyvalue/") => Some(Standing::Answered(Keyvalue::KEY)),
        None => absent::why(import).map(Standing::Absent),
    }
}

/// The lines of versions in which an interface of Spin is answered, as in `spin:postgres/postgres`.
pub fn versions(name: &str) -> impl Iterator<Item = &'static str> {
    INTERFACES.iter().filter(move |it| it.name == name).map(|it| it.version)
}

/// Whether a component is one of Spin's, by what it imports.
pub fn is_spins<'i>(mut imports: impl Iterator<Item = &'i str>) -> bool {
    imports.any(|import| import.starts_with("spin:") || import.starts_with("fermyon:spin/"))
}

/// Whether an import of Spin's has functions during which a whole instance waits: those that are no `async func` and ask a
/// backend.
pub fn blocks(engine: &Engine, import: &str, item: &ComponentItem) -> bool {
    let ComponentItem::ComponentInstance(instance) = item else { return false };
    let is_blocking = |function: &str, item: &ComponentItem| match item {
        ComponentItem::ComponentFunc(ty) => !ty.async_() && asks(function),
        _ => false,
    };
    let mut functions = instance.exports(engine);
    find(import).is_some() && functions.any(|(function, item)| is_blocking(function, &item.ty))
}

/// Whether a function asks a backend, by its name: not one that opens what is there, or makes or changes a builder.
fn asks(function: &str) -> bool {
    const OWN: [&str; 8] = [
        // Of a variable.
        "get",
        "[static]store.open",
        "[static]connection.open",
        "[constructor]connection-builder",
        "[method]connection-builder.set-ca-root",
        "[method]connection-builder.build",
        "[method]connection.last-insert-rowid",
        "[method]connection.changes",
    ];
    !OWN.contains(&function)
}

/// Link the interfaces of Spin that a component imports.
///
/// # Errors
/// The linker has one of them already.
pub fn add_to_linker<T: HasInstance>(
    linker: &mut Linker<T>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    if !is_spins(component.imports(engine).map(|(name, _)| name)) {
        return Ok(());
    }
    let mut linked = BTreeSet::new();
    for (import, item) in component.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = &item.ty else { continue };
        if let Some(interface) = find(import) {
            if linked.insert((interface.name, interface.version)) {
                link(linker, interface)?;
            }
        } else if let Some(why) = absent::why(import) {
            absent::link(linker, engine, import, why, instance)?;
        }
    }
    Ok(())
}

fn link<T: HasInstance>(linker: &mut Linker<T>, interface: &Interface) -> wasmtime::Result<()> {
    match (interface.name, interface.version) {
        ("fermyon:spin/llm", _) => llm::link(linker),
        ("fermyon:spin/key-value", _) => key_value::link_2(linker),
        ("spin:key-value/key-value", _) => key_value::link_3(linker),
        ("fermyon:spin/variables", _) => variables::link_2(linker),
        ("spin:variables/variables", _) => variables::link_3(linker),
        ("fermyon:spin/postgres", _) => postgres::link_2(linker),
        ("spin:postgres/postgres", "3") => postgres::link_3(linker),
        ("spin:postgres/postgres", _) => postgres::link_4(linker),
        ("fermyon:spin/sqlite", _) => sqlite::link_2(linker),
        ("spin:sqlite/sqlite", _) => sqlite::link_3(linker),
        _ => Ok(()),
    }
}

fn find(import: &str) -> Option<&'static Interface> {
    let (name, version) = import.split_once('@')?;
    let major = version.split('.').next()?;
    // A draft is not what became of it.
    let is_release = !version.contains('-');
    INTERFACES.iter().find(|it| it.name == name && it.version == major && is_release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_line_are_answered_by_one() {
        for (import, expected) in [
            ("spin:postgres/postgres@4.0.0", Some(Standing::Answered("postgres"))),
            ("spin:postgres/postgres@4.2.0", Some(Standing::Answered("postgres"))),
            ("spin:postgres/postgres@3.0.0", Some(Standing::Answered("postgres"))),
            ("fermyon:spin/llm@2.0.0", Some(Standing::Answered("ollama"))),
            ("spin:postgres/postgres@5.0.0", None),
            ("spin:postgres/postgres@4.0.0-rc.1", None),
            ("fermyon:spin/llm", None),
            ("spin:variables/variables@3.0.0", Some(Standing::Free)),
            ("spin:key-value/key-value@3.0.0", Some(Standing::Answered("keyvalue"))),
            ("wasi:http/types@0.3.0", None),
        ] {
            assert_eq!(standing(import), expected, "{import}");
        }
        assert!(matches!(standing("spin:redis/redis@3.0.0"), Some(Standing::Absent(_))));
    }
}
