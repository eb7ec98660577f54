//! What a component wants that this host does not have, in words that help.
//!
//! Whether it has something is the linker's judgement. This is asked once the linker has said no, and knows
//! interfaces by name: which of the imports is the one, and what there is instead.

use std::fmt;

use serde::Serialize;

use wasm_host_capabilities as capability;

/// An import that this host cannot give, whatever is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub import: String,
    /// What there is instead, or what about it is not there.
    pub advice: String,
    /// Which of its parts import it; none: it has no parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { import, advice, by } = self;
        let imports = super::importing(by);
        write!(formatter, "{imports} {import}, which this host does not have: {advice}")
    }
}

/// Interfaces that this host has beside those of capabilities: their package, the versions that fit, and their names.
/// Those of the vendored WIT but what is exported, not imported, and what is unstable.
const OF_WASI: &[(&str, &str, &[&str])] = &[
    (
        "wasi:cli",
        "0.2",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", "0.2", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", "0.2", &["types", "preopens"]),
    ("wasi:http", "0.2", &["types", "outgoing-handler"]),
    ("wasi:io", "0.2", &["error", "poll", "streams"]),
    ("wasi:random", "0.2", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets",
        "0.2",
        &[
            "network",
            "instance-network",
            "ip-name-lookup",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
    (
        "wasi:cli",
        "0.3",
        &[
            "environment",
            "exit",
            "types",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", "0.3", &["types", "monotonic-clock", "system-clock"]),
    ("wasi:filesystem", "0.3", &["types", "preopens"]),
    ("wasi:http", "0.3", &["types", "client"]),
    ("wasi:random", "0.3", &["random", "insecure", "insecure-seed"]),
    ("wasi:sockets", "0.3", &["types", "ip-name-lookup"]),
    ("wasi:config", "0.2.0-rc.1", &["store"]),
    ("wasi:config", "0.2.0-draft-2024-09-27", &["store"]),
    ("wasi:config", "0.2.0-draft", &["runtime"]),
];

const HANDLER: &str = "as an import it is another service: if this is middleware, name it in `middleware` of the service \
    behind it; otherwise call that by name with wasi:http/client@0.3 or wasi:http/outgoing-handler@0.2 and name it in \
    `services`";

/// What is near to well-known interfaces of others, by how their names begin, and is of no capability.
const NEAR: &[(&str, &str)] = &[
    ("wasi:http/handler@", HANDLER),
    ("wasi:http/incoming-handler@", HANDLER),
    ("wasi:logging/", "print to standard error, which goes to the host's log"),
    ("wasi:messaging/", "call other services by HTTP, and name them in `services`"),
];

/// All interfaces that this host has, as [`OF_WASI`] has its own.
fn interfaces() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    let of_capabilities = capability::ALL.iter().flat_map(|capability| {
        let interfaces = capability.interfaces().iter();
        interfaces.map(|(version, names)| (capability.package(), *version, *names))
    });
    OF_WASI.iter().copied().chain(of_capabilities)
}

/// What to do instead of importing this, where it is well known.
fn instead_of(import: &str) -> Option<&'static str> {
    let of_capabilities = capability::ALL.iter().flat_map(|capability| capability.instead_of());
    let near = NEAR.iter().chain(of_capabilities).find(|(begins, _)| import.starts_with(begins));
    near.map(|(_, advice)| *advice)
}

/// Which of these imports this host does not have by name.
pub(super) fn by_name<'i>(imports: impl Iterator<Item = &'i String>) -> Vec<Missing> {
    let missing = imports.filter_map(|import| Some((import, advice(import)?)));
    missing
        .map(|(import, advice)| Missing { import: import.clone(), advice, by: Vec::new() })
        .collect()
}

/// The import that the linker stumbled over although there is one of that name: it wants more of it, or something else.
pub(super) fn by_type(imports: &[String], error: &wasmtime::Error) -> Option<Missing> {
    let outermost = error.to_string();
    let import = imports.iter().find(|import| outermost.contains(&format!("`{import}`")))?;
    let export = error.chain().find_map(|cause| {
        let text = cause.to_string();
        text.strip_prefix("instance export `")?.split('`').next().map(str::to_string)
    });
    let what = export.map_or_else(|| "it".to_string(), |export| format!("its `{export}`"));
    let advice = format!(
        "there is one of that name, but {what} is not as imported here ({}); build it with the WIT of this host, or \
         a version of {}",
        error.root_cause(),
        versions(import).join(" or ")
    );
    Some(Missing { import: import.clone(), advice, by: Vec::new() })
}

/// What to do about an import; `None` if this host has it.
fn advice(import: &str) -> Option<String> {
    let (package, interface, version) = parts(import);
    let versions = versions(import);
    if versions.iter().any(|has| fits(version, has)) {
        return None;
    }
    if let Some(advice) = instead_of(import) {
        return Some(advice.to_string());
    }
    if !versions.is_empty() {
        return Some(format!("it has {package}/{interface} of version {}", versions.join(" and ")));
    }
    let of_package = interfaces().filter(|(known, ..)| *known == package);
    let has: Vec<String> = of_package
        .map(|(_, version, interfaces)| format!("{} of version {version}", interfaces.join(", ")))
        .collect();
    if !has.is_empty() {
        return Some(format!("of {package} it has {}", has.join(", and ")));
    }
    let packages: Vec<_> = capability::ALL.iter().map(|known| known.package()).collect();
    Some(format!(
        "it has WASI 0.2 and 0.3, {}; what else a component needs another one serves: name that in `with` of its service",
        packages.join(" and ")
    ))
}

/// The versions of an interface that this host has, as in `0.2`.
fn versions(import: &str) -> Vec<&'static str> {
    let (package, interface, _) = parts(import);
    let known = interfaces()
        .filter(|(of, _, interfaces)| *of == package && interfaces.contains(&interface));
    let name = import.split('@').next().unwrap_or_default();
    known.map(|(_, version, _)| version).chain(capability::spin::versions(name)).collect()
}

/// Package, interface and version, each empty where there is none.
fn parts(import: &str) -> (&str, &str, &str) {
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    let (package, interface) = name.split_once('/').unwrap_or(("", name));
    (package, interface, version)
}

/// Whether a version is a release of the same line: `0.2.12` of `0.2`, but not `0.2.0-rc-1`. A draft is itself alone.
pub(super) fn fits(version: &str, line: &str) -> bool {
    // A draft is of no line but its own.
    if line.contains('-') {
        return version == line;
    }
    let patch = version.strip_prefix(line).and_then(|rest| rest.strip_prefix('.'));
    patch.is_some_and(|patch| !patch.contains('-'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Of the vendored WIT: exported by components, or unstable.
    const NOT_IMPORTED: [&str; 6] = [
        "wasi:cli/run",
        "wasi:clocks/timezone",
        "wasi:http/handler",
        "wasi:http/incoming-handler",
        "wasm-host:postgres/imports",
        "wasm-host:ollama/imports",
    ];

    #[test]
    fn what_is_said_to_be_here_is_what_the_interfaces_of_this_repository_are() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let folders = ["deps/wasi-0.2", "deps/wasi-0.3", "deps/wasi-drafts", "postgres", "ollama"];
        let mut vendored = BTreeSet::new();
        for file in folders.iter().flat_map(|folder| fs::read_dir(wit.join(folder)).unwrap()) {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let name = text.lines().find_map(|line| line.strip_prefix("package ")).unwrap();
            let (package, version) = name.trim_end_matches(';').split_once('@').unwrap();
            let line = match version.contains('-') {
                true => version,
                false => version.rsplit_once('.').unwrap().0,
            };
            for interface in text.lines().filter_map(|line| line.strip_prefix("interface ")) {
                let interface = interface.trim_end_matches([' ', '{']);
                if !NOT_IMPORTED.contains(&format!("{package}/{interface}").as_str()) {
                    vendored.insert(format!("{package}/{interface}@{line}"));
                }
            }
        }
        let told = interfaces().flat_map(|(package, line, interfaces)| {
            interfaces.iter().map(move |interface| format!("{package}/{interface}@{line}"))
        });
        assert_eq!(told.collect::<BTreeSet<_>>(), vendored);
    }

    #[test]
    fn a_release_of_the_same_line_fits_and_a_draft_does_not() {
        assert!(fits("0.2.0", "0.2") && fits("0.2.12", "0.2"));
        assert!(fits("0.2.0-draft", "0.2.0-draft") && !fits("0.2.0-draft2", "0.2.0-draft"));
        for other in ["0.2", "", "0.20.1", "0.3.0", "0.2.0-rc-2023-11-10", "1.0.2"] {
            assert!(!fits(other, "0.2"), "{other}");
        }
    }

    #[test]
    fn what_there_is_instead_is_told() {
        for (import, expected) in [
            ("wasi:config/store@0.2.0", "of version 0.2.0-rc.1 and 0.2.0-draft-2024-09-27"),
            ("wasi:keyvalue/store@0.2.0-draft3", "of version 0.2.0-draft and 0.2.0-draft2"),
            ("wasi:keyvalue/nonsense@0.2.0-draft", "of wasi:keyvalue it has store, atomics, batch"),
            ("wasi:http/handler@0.3.0", "another service"),
            ("wasi:http/types@0.3.0-rc-2025-09-16", "wasi:http/types of version 0.2 and 0.3"),
            ("wasi:http/nonsense@0.2.0", "of wasi:http it has types, outgoing-handler of version"),
            ("wasm-host:postgres/client@0.2.0", "wasm-host:postgres/client of version 0.1"),
            ("spin:postgres/postgres@5.0.0", "spin:postgres/postgres of version 3 and 4"),
            ("acme:coyote/anvil@1.0.0", "it has WASI 0.2 and 0.3, wasm-host:postgres"),
            ("log", "it has WASI 0.2 and 0.3"),
        ] {
            let told = advice(import).unwrap();
            assert!(told.contains(expected), "{import}: {told}");
        }
        assert_eq!(advice("wasi:http/types@0.2.12"), None);
        assert_eq!(advice("wasi:keyvalue/batch@0.2.0-draft2"), None);
        assert_eq!(advice("wasi:config/runtime@0.2.0-draft"), None);
        assert_eq!(advice("wasm-host:ollama/models@0.1.0"), None);
    }
}
