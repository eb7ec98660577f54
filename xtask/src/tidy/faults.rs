//! The tables of faults, made of a line above each test:
//!
//! ```text
//! // Fault (Clients): two lengths | refuses | 4xx or a close | nothing
//! #[tokio::test]
//! async fn two_lengths_are_refused() {
//! ```
//!
//! The rows are in the order of the files. What is written around the tables names tests, too; each must be there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

pub(super) const DOCUMENT: &str = "tests/FAULTS.md";

/// How many distinct faults the product promises to have thought of.
const FEWEST: usize = 40;

/// What begins the line above a test.
const MARK: &str = "// Fault (";

const HEAD: &str =
    "| fault | what the host does | what the client sees | lost | test |\n|---|---|---|---|---|\n";
const END: &str = "<!-- end of faults -->\n";

/// One line above a test.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    /// The part of the document.
    part: String,
    /// The first columns, as the document has them.
    columns: String,
    /// With its modules.
    test: String,
}

/// The document with its tables written anew. `files`: the sources with the tests, in their order.
pub(super) fn written<'f>(
    root: &Path,
    files: impl Iterator<Item = &'f String>,
    text: &str,
) -> Result<String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for (path, module) in files.filter_map(|path| Some((path, module(path)?))) {
        let Ok(source) = fs::read_to_string(root.join(path)) else { continue };
        for fault in faults(path, &module, &source)? {
            let Fault { part, columns, test } = fault;
            parts.entry(part).or_default().push_str(&format!("| {columns} | `{test}` |\n"));
            count += 1;
        }
    }
    ensure!(count >= FEWEST, "{DOCUMENT} has {count} faults, fewer than {FEWEST}");
    let mut text = text.to_owned();
    for (part, rows) in parts {
        let begin = format!("<!-- faults of {part}, written by `cargo xtask docs` -->\n");
        text = super::between(&text, &begin, END, &format!("{HEAD}{rows}"))?;
    }
    Ok(text)
}

pub(super) fn problems<'f>(
    root: &Path,
    files: impl Iterator<Item = &'f String>,
    text: &str,
) -> Result<Vec<String>> {
    let tests: Vec<&String> = files.collect();
    let is_current = written(root, tests.iter().copied(), text)? == text;
    let told =
        format!("{DOCUMENT}: a table is not that of its tests; `cargo xtask docs` writes it");
    let old = (!is_current).then_some(told);
    let known: Vec<&str> = tests.iter().map(|path| path.as_str()).collect();
    let gone = named(text).into_iter().filter(|(_, name)| !exists(root, &known, name));
    let gone = gone.map(|(line, name)| format!("{DOCUMENT}:{line}: there is no test `{name}`"));
    Ok(old.into_iter().chain(gone).collect())
}

/// The faults of one file.
fn faults(path: &str, module: &str, source: &str) -> Result<Vec<Fault>> {
    let mut is_inside = false;
    let mut found = Vec::new();
    let mut lines = source.lines().map(str::trim).enumerate();
    while let Some((number, line)) = lines.next() {
        is_inside |= line == "mod tests {";
        let Some(said) = line.strip_prefix(MARK) else { continue };
        let at = || format!("{path}:{}", number + 1);
        let (part, columns) = said.split_once("): ").with_context(at)?;
        ensure!(columns.split(" | ").count() == 4, "{}: a fault has four columns", at());
        let is_function = |line: &str| line.starts_with("fn ") || line.starts_with("async fn ");
        let function = lines.by_ref().map(|(_, line)| line).find(|line| is_function(line));
        let function = function.and_then(|line| line.split_once("fn ")?.1.split_once('('));
        let (function, _) = function.with_context(|| format!("{}: no test follows", at()))?;
        let tests = if is_inside { "tests::" } else { "" };
        found.push(Fault {
            part: part.to_owned(),
            columns: columns.to_owned(),
            test: format!("{module}::{tests}{function}"),
        });
    }
    Ok(found)
}

/// The modules of a file with tests, as these are named: those of the integration tests and of the program by themselves, those
/// of other crates behind the crate's.
fn module(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    let (of, rest) = match (path.strip_prefix("tests/it/"), path.strip_prefix("host/src/")) {
        (Some(rest), _) | (_, Some(rest)) => ("", rest),
        _ => {
            let (of, rest) = path.strip_prefix("host/")?.split_once("/src/")?;
            (of, rest)
        }
    };
    let rest = if rest == "lib" { "" } else { rest };
    let modules = [of.replace('-', "_"), rest.replace('/', "::")];
    let modules: Vec<String> = modules.into_iter().filter(|module| !module.is_empty()).collect();
    Some(modules.join("::"))
}

/// Every test that is named anywhere, with its line: what is in backticks and has the form `module::name`.
fn named(text: &str) -> Vec<(usize, &str)> {
    let is_name = |name: &&str| {
        name.contains("::") && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    let names = text.lines().zip(1..).flat_map(|(line, number)| {
        let names = line.split('`').skip(1).step_by(2).filter(is_name);
        names.map(move |name| (number, name))
    });
    names.collect()
}

/// A function of this name in the file of its module, or of the one around it.
fn exists(root: &Path, files: &[&str], name: &str) -> bool {
    let Some((modules, function)) = name.rsplit_once("::") else { return false };
    let around = modules.strip_suffix("::tests").unwrap_or(modules);
    let function = format!("fn {function}(");
    files.iter().any(|path| {
        let is_there = module(path).is_some_and(|module| module == modules || module == around);
        is_there && fs::read_to_string(root.join(path)).is_ok_and(|text| text.contains(&function))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str =
        "// Fault (Clients): a cut | says so | an error | nothing\n#[test]\nfn it() {}\n";

    #[test]
    fn the_line_above_a_test_is_a_row() {
        let fault = |test: &str| Fault {
            part: "Clients".to_owned(),
            columns: "a cut | says so | an error | nothing".to_owned(),
            test: test.to_owned(),
        };
        let of = |path: &str, text: &str| faults(path, &module(path).unwrap(), text).unwrap();
        assert_eq!(of("tests/it/faults/cuts.rs", TEST), [fault("faults::cuts::it")]);
        let inline = format!("#[cfg(test)]\nmod tests {{\n{TEST}}}");
        let of = |path: &str| of(path, &inline);
        assert_eq!(of("host/record/src/shelf.rs"), [fault("record::shelf::tests::it")]);
        assert_eq!(
            of("host/embedded-postgres/src/lib.rs"),
            [fault("embedded_postgres::tests::it")]
        );
        assert_eq!(of("host/src/recordings.rs"), [fault("recordings::tests::it")]);
    }

    #[test]
    fn a_line_that_is_no_row_is_told_with_its_place() {
        for (wrong, why) in [
            (TEST.replace(" | nothing", ""), "a.rs:1: a fault has four columns"),
            (TEST.replace("fn it", "struct It; //"), "a.rs:1: no test follows"),
        ] {
            let error = faults("tests/it/a.rs", "a", &wrong).unwrap_err();
            assert!(error.to_string().ends_with(why), "{error}");
        }
    }

    #[test]
    fn a_test_that_is_named_and_gone_is_reported() {
        let root = crate::project::root();
        let files = super::super::tracked(&root).unwrap();
        let text = fs::read_to_string(root.join(DOCUMENT)).unwrap();
        assert_eq!(problems(&root, files.iter(), &text).unwrap(), Vec::<String>::new());
        let gone = text.clone() + "\n`grants::a_test_that_nobody_wrote`";
        let told = problems(&root, files.iter(), &gone).unwrap().join("\n");
        assert!(told.ends_with("there is no test `grants::a_test_that_nobody_wrote`"), "{told}");
        let row = text.lines().find(|line| line.starts_with("| ") && line.contains("::")).unwrap();
        let told = problems(&root, files.iter(), &text.replacen(row, "", 1)).unwrap().join("\n");
        assert!(told.contains("`cargo xtask docs` writes it"), "{told}");
    }
}
