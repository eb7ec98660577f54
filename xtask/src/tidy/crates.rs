//! The host's crates: their picture in the documentation, made of their `Cargo.toml`, and which must not use which.
//! Cargo refuses a circle, and does not know which crates a request passes through.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

pub(crate) const DOCUMENT: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- crates, written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end of crates -->\n";

/// What is in front of the name of a crate's folder.
const PREFIX: &str = "wasm-host";

/// What a crate must not use, by way of others or not.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    // The way of a request.
    ("wasm-host-http", &["wasm-host-testkit", "wasm-host-record"]),
    ("wasm-host-service", &["wasm-host-testkit", "wasm-host-record", "wasm-host-config"]),
    // What is read before anything runs.
    ("wasm-host-config", &["wasm-host-engine", "wasm-host-embedded-postgres"]),
    // Component authors build it.
    ("wasm-host-testkit", &["wasm-host-http", "wasm-host-service", "wasm-host-config"]),
];

/// The library that runs components, and the crates that name it. All others speak of requests and answers.
const ENGINE: &str = "wasmtime";
const OF_ENGINE: [&str; 4] =
    ["wasm-host-capabilities", "wasm-host-engine", "wasm-host-record", "wasm-host-testkit"];

/// Each crate with those that it uses.
type Crates = BTreeMap<String, BTreeSet<String>>;

pub(super) fn problems(root: &Path, text: &str) -> Result<Vec<String>> {
    let is_current = written(root, text)? == text;
    let told =
        format!("{DOCUMENT}: the picture of the crates is not theirs; `cargo xtask docs` draws it");
    let crates = crates(root)?;
    let mut problems = forbidden(&crates);
    problems.extend(named(&crates));
    problems.extend((!is_current).then_some(told));
    Ok(problems)
}

fn forbidden(crates: &Crates) -> Vec<String> {
    let pairs = FORBIDDEN.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let found = pairs.filter(|(from, to)| reaches(crates, from, to));
    found.map(|(from, to)| format!("{from} must not use {to}, nor by way of others")).collect()
}

/// Crates that name what they should not know.
fn named(crates: &Crates) -> impl Iterator<Item = String> {
    let names = |uses: &BTreeSet<String>| uses.iter().any(|used| used.starts_with(ENGINE));
    let found = crates
        .iter()
        .filter(move |(name, uses)| names(uses) && !OF_ENGINE.contains(&name.as_str()));
    found.map(|(name, _)| format!("{name} must not name {ENGINE}"))
}

/// The document with its picture drawn anew.
pub(crate) fn written(root: &Path, text: &str) -> Result<String> {
    super::between(text, BEGIN, END, &picture(&crates(root)?))
}

fn crates(root: &Path) -> Result<Crates> {
    let host = root.join("host");
    let mut crates = Crates::new();
    let folders = fs::read_dir(&host)?.map(|entry| entry.map(|entry| entry.path()));
    for folder in [Ok(host)].into_iter().chain(folders) {
        let manifest = folder?.join("Cargo.toml");
        if manifest.exists() {
            let text = fs::read_to_string(&manifest)?;
            let name =
                text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
            let name = name.with_context(|| format!("{} has no name", manifest.display()))?;
            crates.insert(name.to_owned(), uses(&text));
        }
    }
    Ok(crates)
}

/// The host's own crates, and those of its engine, that a manifest lists, without those for tests.
fn uses(manifest: &str) -> BTreeSet<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', ' ']).next());
    let is_known = |name: &&str| [PREFIX, ENGINE].iter().any(|begin| name.starts_with(begin));
    names.filter(is_known).map(str::to_owned).collect()
}

/// A graph in Mermaid's notation, without the arrows that others imply.
fn picture(crates: &Crates) -> String {
    let mut picture = "```mermaid\ngraph TD\n".to_owned();
    for (name, uses) in crates {
        let is_own = |used: &&String| used.starts_with(PREFIX);
        let implied = |used: &&String| !uses.iter().any(|other| reaches(crates, other, used));
        for used in uses.iter().filter(is_own).filter(implied) {
            picture.push_str(&format!("    {} --> {}\n", short(name), short(used)));
        }
    }
    picture + "```\n"
}

/// Whether a crate uses another one, by way of others or not.
fn reaches(crates: &Crates, from: &str, to: &str) -> bool {
    let uses = crates.get(from).into_iter().flatten();
    uses.into_iter().any(|used| used == to || reaches(crates, used, to))
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_that_others_imply_are_not_drawn() {
        let manifest = |lines: &str| {
            uses(&format!(
                "[dependencies]\n{lines}[dev-dependencies]\nwasm-host-x.workspace = true\n"
            ))
        };
        let crates = Crates::from([
            (
                "wasm-host".to_owned(),
                manifest(
                    "anyhow = \"1\"\nwasm-host-a.workspace = true\nwasm-host-b = { path = \"b\" }\n",
                ),
            ),
            ("wasm-host-a".to_owned(), manifest("wasm-host-b.workspace = true\n")),
            ("wasm-host-b".to_owned(), manifest("")),
        ]);
        let expected = "```mermaid\ngraph TD\n    wasm-host --> a\n    a --> b\n```\n";
        assert_eq!(picture(&crates), expected);
    }

    #[test]
    fn a_crate_on_the_way_of_a_request_does_not_use_the_test_kit_by_way_of_others() {
        let uses = |name: &str, used: &str| (name.to_owned(), BTreeSet::from([used.to_owned()]));
        let crates = Crates::from([
            uses("wasm-host-service", "wasm-host-engine"),
            uses("wasm-host-engine", "wasm-host-testkit"),
        ]);
        let told = ["wasm-host-service must not use wasm-host-testkit, nor by way of others"];
        assert_eq!(forbidden(&crates), told);
    }

    #[test]
    fn a_crate_that_names_the_engine_is_told_unless_it_is_of_the_engine() {
        let uses = |name: &str| (name.to_owned(), uses("[dependencies]\nwasmtime-wasi = \"1\"\n"));
        let crates = Crates::from([uses("wasm-host-service"), uses("wasm-host-engine")]);
        let told = ["wasm-host-service must not name wasmtime"];
        assert_eq!(named(&crates).collect::<Vec<_>>(), told);
    }

    #[test]
    fn a_picture_that_is_not_that_of_the_crates_is_told() {
        let root = crate::project::root();
        let current = written(&root, &format!("before\n{BEGIN}{END}after\n")).unwrap();
        assert!(current.starts_with("before\n") && current.ends_with("after\n"), "{current}");
        assert!(current.contains("    wasm-host --> http\n"), "{current}");
        assert_eq!(problems(&root, &current).unwrap(), Vec::<String>::new());
        let old = current.replace("wasm-host --> http", "http --> wasm-host");
        assert_eq!(problems(&root, &old).unwrap().len(), 1);
    }
}
