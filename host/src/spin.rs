//! What is told of components that import interfaces of Spin: those that nothing grants, and those that this host does
//! not answer. Neither keeps a component from being a service.

use std::collections::BTreeSet;

use wasm_host_engine::link::{Standing, of_spin};

/// What a component is told of, each with what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// For a component with these imports that is granted these keys.
pub(crate) fn notes(imports: &[String], granted: &BTreeSet<&str>) -> Vec<Note> {
    let (mut wanted, mut absent) = (BTreeSet::new(), BTreeSet::new());
    for (import, standing) in of_spin(imports) {
        match standing {
            Standing::Answered(key) if !granted.contains(key) => {
                wanted.insert(key);
            }
            Standing::Answered(_) | Standing::Free => {}
            Standing::Absent(_) => {
                absent.insert(shown(&import));
            }
        }
    }
    let mut notes = Vec::new();
    if !wanted.is_empty() {
        let keys: Vec<_> = wanted.into_iter().collect();
        notes.push(Note {
            message: format!(
                "it imports interfaces of Spin that nothing grants it ({}): what it calls of them is refused",
                keys.join(", ")
            ),
            hint: format!("if it uses them, add {} = \"NAME\"", keys.join(" = \"NAME\", ")),
        });
    }
    if !absent.is_empty() {
        let names: Vec<_> = absent.into_iter().collect();
        notes.push(Note {
            message: format!(
                "it imports interfaces that this host does not answer ({}): what it calls of them fails",
                names.join(", ")
            ),
            hint: "there is nothing to do if it does not use them".to_owned(),
        });
    }
    notes
}

/// The package of an import; all of a snapshot of WASI together.
pub(crate) fn shown(import: &str) -> String {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    let package = name.split('/').next().unwrap_or(name);
    match package.split_once(':') {
        Some(("wasi", _)) if version.starts_with("0.3.0-rc") => format!("WASI {version}"),
        _ if package == "fermyon:spin" => name.to_owned(),
        _ => package.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_and_what_is_not_answered_is_told_once_each() {
        let imports = [
            "fermyon:spin/llm@2.0.0",
            "fermyon:spin/redis@2.0.0",
            "spin:postgres/postgres@4.2.0",
            "spin:redis/redis@3.0.0",
            "spin:sqlite/sqlite@3.1.0",
            "wasi:cli/stdout@0.3.0-rc-2026-03-15",
            "wasi:http/client@0.3.0",
            "wasi:http/client@0.3.0-rc-2026-03-15",
        ]
        .map(str::to_owned);
        let [wanted, absent] = &notes(&imports, &BTreeSet::from(["postgres"]))[..] else {
            panic!()
        };
        assert!(wanted.message.contains("(ollama, sqlite)"), "{}", wanted.message);
        assert_eq!(wanted.hint, "if it uses them, add ollama = \"NAME\", sqlite = \"NAME\"");
        assert!(
            absent.message.contains("(WASI 0.3.0-rc-2026-03-15, fermyon:spin/redis, spin:redis)"),
            "{}",
            absent.message
        );
        assert_eq!(notes(&imports[6..], &BTreeSet::new()), []);
    }
}
