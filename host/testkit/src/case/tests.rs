//! Case files as they are read and written, held against what is kept beside this.

use std::path::{Path, PathBuf};

use super::Case;

/// Wrong files, each with what is said of it. Each ends with a line of dashes.
const WRONG: &str = include_str!("fixtures/wrong.txt");

/// What comes before what is said.
const SAID: &str = "=> ";

fn read(text: &str) -> Case {
    Case::parse(text, Path::new("cases/a.toml")).unwrap()
}

/// All of a case but where its calls are in their file.
fn shown(case: &Case) -> String {
    let mut case = case.clone();
    case.calls.iter_mut().for_each(|call| call.line = 0);
    format!("{case:#?}")
}

#[test]
fn what_is_written_has_one_layout() {
    let written = read(include_str!("fixtures/everything.toml")).to_toml();
    assert_eq!(written, include_str!("fixtures/written.toml"));
}

#[test]
fn every_case_of_this_repository_is_written_as_the_same_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![root.join("host/testkit/src/case/example.toml")];
    for part in ["components", "tests"] {
        cases(&root.join(part), &mut files);
    }
    assert!(files.len() > 100, "{files:?}");
    for file in files {
        let case = read(&std::fs::read_to_string(&file).unwrap());
        let written = case.to_toml();
        let again = read(&written);
        assert_eq!(shown(&again), shown(&case), "{}:\n{written}", file.display());
        assert_eq!(again.to_toml(), written, "{}", file.display());
    }
}

/// The files of all folders `cases` below this one.
fn cases(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_installed = path.ends_with("node_modules") || path.ends_with("target");
        if path.is_dir() && !is_installed {
            cases(&path, found);
        } else if folder.ends_with("cases") && path.extension().is_some_and(|kind| kind == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for block in WRONG.split("----\n").filter(|block| !block.is_empty()) {
        let (text, said) = block.split_once(SAID).unwrap();
        let wrong = Case::parse(text, Path::new("cases/a.toml")).unwrap_err();
        assert_eq!(format!("{wrong}\n"), said, "{text}");
    }
}
