//! The modules of each crate in the documentation, with the first sentence that each says of itself: so that none is
//! missing there, and none is described twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(super) const DOCUMENT: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- modules, written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end of modules -->\n";

/// Crates of which the modules are listed, and folders of such crates.
const CRATES: [&str; 4] = ["host", "components/guest", "tests", "xtask"];
const FOLDERS: [&str; 1] = ["host"];

pub(super) fn problems(root: &Path, text: &str) -> Result<Vec<String>> {
    let is_current = written(root, text)? == text;
    let told = format!(
        "{DOCUMENT}: the list of modules is not what they say of themselves; `cargo xtask docs` writes it"
    );
    Ok((!is_current).then_some(told).into_iter().collect())
}

/// The document with its lists written anew.
pub(super) fn written(root: &Path, text: &str) -> Result<String> {
    let tables = crates(root)?.iter().map(|path| table(root, path)).collect::<Result<String>>()?;
    super::between(text, BEGIN, END, &tables)
}

/// The paths of all crates, in alphabetical order.
fn crates(root: &Path) -> Result<Vec<String>> {
    let mut crates: Vec<String> = CRATES.map(str::to_owned).into();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").exists() {
                crates.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    crates.sort();
    Ok(crates)
}

/// One crate: its heading, and a row for each module. Nothing for a crate without any.
fn table(root: &Path, path: &str) -> Result<String> {
    let source = root.join(path).join("src");
    let main = ["lib.rs", "main.rs"].map(|name| source.join(name));
    let mut rows = String::new();
    for main in main.iter().filter(|main| main.exists()) {
        for module in modules(&read(main)?) {
            let file = source.join(format!("{module}.rs"));
            let what = first_sentence(&read(&file)?)
                .with_context(|| format!("{} does not say what it is", file.display()))?;
            rows.push_str(&format!("| `{path}/src/{module}.rs` | {what} |\n"));
        }
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    Ok(format!("### {path}\n| module | what is there |\n|---|---|\n{rows}\n"))
}

fn read(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The modules that a file has in files of their own, without those that are there for tests alone.
fn modules(text: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    let mut is_for_tests = false;
    for line in text.lines() {
        if line.starts_with('#') {
            is_for_tests |= line.contains("cfg(test)") || line.contains("cfg(fuzzing)");
            continue;
        }
        let declared = line.strip_suffix(';').and_then(|line| {
            let visible = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub "));
            visible.unwrap_or(line).strip_prefix("mod ")
        });
        modules.extend(declared.filter(|_| !is_for_tests));
        is_for_tests = false;
    }
    modules
}

/// What a file says first of itself, as a cell of a table: without the last full stop.
fn first_sentence(text: &str) -> Option<String> {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<_> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    let paragraph = lines.join(" ");
    let sentence = match paragraph.split_once(". ") {
        Some((first, _)) => first,
        None => paragraph.trim_end_matches('.'),
    };
    (!sentence.is_empty()).then(|| sentence.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_for_tests_are_no_part_of_the_map() {
        let text = "mod one;\npub mod two;\n#[cfg(test)]\nmod testing;\npub(crate) mod three;\n\
                    #[macro_use]\nmod four;\n#[cfg(test)]\nmod tests {\n    mod inner;\n}\n";
        assert_eq!(modules(text), ["one", "two", "three", "four"]);
    }

    #[test]
    fn a_module_is_described_by_its_first_sentence() {
        let text =
            "//! What there is of `a|b`: one\n//! thing. Another sentence.\n//!\n//! More.\n";
        assert_eq!(first_sentence(text).as_deref(), Some("What there is of `a\\|b`: one thing"));
        assert_eq!(first_sentence("//! One.\nuse x;\n").as_deref(), Some("One"));
        assert_eq!(first_sentence("use x;\n"), None);
    }

    #[test]
    fn a_module_that_is_missing_is_told() {
        let root = crate::project::root();
        let current = written(&root, &format!("before\n{BEGIN}{END}after\n")).unwrap();
        let row = "| `xtask/src/tidy.rs` | Rules of this repository that no compiler checks |\n";
        assert!(current.contains(row), "{current}");
        assert!(!current.contains("/tests.rs`"), "{current}");
        assert_eq!(problems(&root, &current).unwrap(), Vec::<String>::new());
        assert_eq!(problems(&root, &current.replace(row, "")).unwrap().len(), 1);
    }
}
