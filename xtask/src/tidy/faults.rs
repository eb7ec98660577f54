//! The table of faults: it is long enough, it names each test once, and each test is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub(super) const DOCUMENT: &str = "tests/FAULTS.md";

/// How many distinct faults the product promises to have thought of.
const FEWEST: usize = 40;

/// What the last column of the table of faults is called.
const COLUMN: &str = "test";

/// Where the sources of a test may be, by the modules in its name.
const BASES: [&str; 3] = ["tests/it", "host/src", "components"];

/// Where crates are whose name is the first of the modules.
const CRATES: &str = "host";

pub(super) fn problems(root: &Path, text: &str) -> Vec<String> {
    let at = |line: usize| format!("{DOCUMENT}:{line}");
    let mut problems: Vec<String> = tests(text)
        .into_iter()
        .filter(|(_, name)| !exists(root, name))
        .map(|(line, name)| format!("{}: there is no test `{name}`", at(line)))
        .collect();
    let faults = faults(text);
    if faults.len() < FEWEST {
        problems.push(format!("{DOCUMENT} has {} faults, fewer than {FEWEST}", faults.len()));
    }
    let mut seen = BTreeSet::new();
    for (line, cell) in faults {
        match named(cell)[..] {
            [name] if seen.insert(name) => {}
            [name] => problems.push(format!("{}: `{name}` is there twice", at(line))),
            _ => problems.push(format!("{}: a fault has one test", at(line))),
        }
    }
    problems
}

/// The last cell of each row of the table of faults, with its line.
fn faults(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|'))
        else {
            inside = false;
            continue;
        };
        let last = row.rsplit('|').next().unwrap_or_default().trim();
        if last == COLUMN {
            inside = true;
        } else if inside && !last.starts_with("---") {
            found.push((number + 1, last));
        }
    }
    found
}

/// Every test that is named anywhere, with its line.
fn tests(text: &str) -> Vec<(usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(number, line)| named(line).into_iter().map(move |name| (number + 1, name)))
        .collect()
}

/// What is in backticks and has the form of a test's name: `module::name`.
fn named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| {
        name.contains("::") && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    quoted.filter(is_name).collect()
}

/// A function of this name in the file of its module, or of the one around it.
fn exists(root: &Path, name: &str) -> bool {
    let Some((modules, function)) = name.rsplit_once("::") else { return false };
    let function = format!("fn {function}(");
    let around = modules.rsplit_once("::").map(|(around, _)| around);
    let files = [Some(modules), around].into_iter().flatten().flat_map(|modules| {
        let bases = BASES.map(|base| root.join(base).join(modules.replace("::", "/") + ".rs"));
        let (of, modules) = modules.split_once("::").unwrap_or((modules, "lib"));
        let of_crate = root.join(CRATES).join(of.replace('_', "-")).join("src");
        bases.into_iter().chain([of_crate.join(modules.replace("::", "/") + ".rs")])
    });
    files.filter_map(|file| fs::read_to_string(file).ok()).any(|text| text.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(rows: usize, last: &str) -> String {
        let mut text = "| fault | test |\n|---|---|\n".to_owned();
        for row in 0..rows {
            text.push_str(&format!("| {row} | `shutdown::of_row_{row}` |\n"));
        }
        text + last + "\n\n| promise | tests |\n|---|---|\n| 1 | some |\n"
    }

    #[test]
    fn rows_are_counted_in_the_table_of_faults_only() {
        assert_eq!(faults(&document(3, "")).len(), 3);
        let root = crate::project::root();
        let problems = problems(&root, &document(3, ""));
        assert!(
            problems.contains(&format!("{DOCUMENT} has 3 faults, fewer than 40")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_test_that_is_not_there_or_twice_there_is_reported() {
        let root = crate::project::root();
        let twice = "| again | `shutdown::of_row_1` |\n| none | nothing |";
        let problems = problems(&root, &document(40, twice)).join("\n");
        assert!(problems.contains(":3: there is no test `shutdown::of_row_0`"), "{problems}");
        assert!(problems.contains(":43: `shutdown::of_row_1` is there twice"), "{problems}");
        assert!(problems.contains(":44: a fault has one test"), "{problems}");
    }

    #[test]
    fn tests_are_found_in_their_modules() {
        let root = crate::project::root();
        assert!(exists(&root, "grants::outgoing_http_reaches_granted_services_only"));
        assert!(exists(&root, "service::admission::tests::a_full_queue_and_a_long_wait_are_busy"));
        assert!(!exists(&root, "grants::a_test_that_nobody_wrote"));
    }
}
