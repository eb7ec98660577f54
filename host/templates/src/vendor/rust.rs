//! The library for services in Rust as a project outside this repository has it: its sources and its interfaces, in
//! the project's own folder, since no registry has them yet. The crates that it uses come from crates.io, in the
//! versions that this program was built with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use toml::{Table, Value};

use crate::{Damaged, NewFile, render, wit};

static GUEST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../components/guest/src");
static DERIVE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../components/guest-derive/src");
static INTERFACES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

const GUEST_MANIFEST: &str = include_str!("../../../../components/guest/Cargo.toml");
const DERIVE_MANIFEST: &str = include_str!("../../../../components/guest-derive/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// What people are told of it.
const LIBRARY: &str = "the library for Rust";

const GUEST_NAME: &str = "wasm-host-guest";
const DERIVE_NAME: &str = "wasm-host-guest-derive";

/// The folders of `wit` that the library's bindings are made of beside those of capabilities.
const USED: [&str; 3] = ["service", "deps/wasi-0.3", "deps/wasi-drafts"];

/// The library in `vendor`, and the versions of its crates for the service in a folder.
pub(crate) fn files(service: &str, folder: &str) -> Result<Vec<NewFile>, Damaged> {
    let mut files = Vec::new();
    for (name, manifest, sources) in
        [(GUEST_NAME, GUEST_MANIFEST, &GUEST), (DERIVE_NAME, DERIVE_MANIFEST, &DERIVE)]
    {
        let place = Path::new("vendor").join(name);
        files.push(shared(place.join("Cargo.toml"), self::manifest(manifest)?));
        for (path, text) in render::texts(sources) {
            files.push(shared(place.join("src").join(path), text.to_owned()));
        }
    }
    for (path, text) in render::texts(&INTERFACES) {
        if wit::own_packages().chain(USED).any(|used| path.starts_with(used)) {
            let place = Path::new("vendor").join(GUEST_NAME).join("wit");
            files.push(shared(place.join(path), text.to_owned()));
        }
    }
    let lock = lock(service)?;
    let path = Path::new(folder).join("Cargo.lock");
    files.push(NewFile::text(path, lock));
    Ok(files)
}

fn shared(path: PathBuf, text: String) -> NewFile {
    NewFile { library: Some(LIBRARY), ..NewFile::text(path, text) }
}

fn table(text: &str) -> Result<Table, Damaged> {
    text.parse().map_err(|error: toml::de::Error| Damaged::new(error.to_string()))
}

/// A manifest that stands by itself: what it has of the workspace is written out, and what only its own tests need is
/// left out.
fn manifest(text: &str) -> Result<String, Damaged> {
    let workspace = table(WORKSPACE)?;
    let of_workspace = |path: [&str; 2]| {
        let table = workspace.get("workspace").and_then(|it| it.get(path[0]));
        let value = table.and_then(|table| table.get(path[1]));
        value.cloned().ok_or_else(|| Damaged::new(format!("no {} in the workspace", path[1])))
    };
    let mut manifest = table(text)?;
    manifest.remove("dev-dependencies");
    manifest.remove("lints");
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for (key, value) in package.iter_mut().filter(|(_, value)| is_inherited(value)) {
            *value = of_workspace(["package", key])?;
        }
    }
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        for (key, value) in dependencies.iter_mut().filter(|(_, value)| is_inherited(value)) {
            let mut whole = match of_workspace(["dependencies", key])? {
                Value::Table(whole) => whole,
                version => Table::from_iter([("version".to_owned(), version)]),
            };
            if whole.contains_key("path") {
                whole.insert("path".to_owned(), Value::String(format!("../{key}")));
            }
            let own = value.as_table().cloned().unwrap_or_default();
            whole.extend(own.into_iter().filter(|(key, _)| key != "workspace"));
            *value = Value::Table(whole);
        }
    }
    toml::to_string(&manifest).map_err(|error| Damaged::new(error.to_string()))
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").is_some_and(|inherited| inherited.as_bool() == Some(true))
}

/// The versions that this program was built with, of all crates that the library may bring. Cargo leaves those out that
/// are not used.
fn lock(service: &str) -> Result<String, Damaged> {
    let whole = table(LOCK)?;
    let packages = whole.get("package").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |package: &Value, key: &str| {
        package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut wanted = vec![GUEST_NAME.to_owned()];
    let mut found = BTreeSet::new();
    let mut kept = Vec::new();
    while let Some(next) = wanted.pop() {
        // `NAME` where there is one version, else `NAME VERSION`.
        let (name, version) = next.split_once(' ').unwrap_or((&next, ""));
        let of_name = packages.iter().filter(|package| text(package, "name") == name);
        for package in of_name.filter(|it| version.is_empty() || text(it, "version") == version) {
            if !found.insert((text(package, "name"), text(package, "version"))) {
                continue;
            }
            let dependencies = package.get("dependencies").and_then(Value::as_array);
            let names = dependencies.into_iter().flatten().filter_map(Value::as_str);
            wanted.extend(names.map(str::to_owned));
            kept.push(package.clone());
        }
    }
    kept.push(Value::Table(Table::from_iter([
        ("name".to_owned(), Value::from(service)),
        ("version".to_owned(), Value::from("0.1.0")),
        ("dependencies".to_owned(), Value::from(vec![GUEST_NAME])),
    ])));
    kept.sort_by_key(|package| (text(package, "name"), text(package, "version")));
    let version = whole.get("version").cloned().unwrap_or(Value::from(4));
    let lock = Table::from_iter([
        ("version".to_owned(), version),
        ("package".to_owned(), Value::Array(kept)),
    ]);
    toml::to_string(&lock).map_err(|error| Damaged::new(error.to_string()))
}
