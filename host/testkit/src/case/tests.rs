//! Case files as they are read and written, held against what is kept beside this.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Action, Body, Call, CallAnswer, Case, Content, Request};

/// Wrong files, each with what is said of it. Each ends with a line of dashes.
const WRONG: &str = include_str!("fixtures/wrong.txt");

/// What comes before what is said.
const SAID: &str = "=> ";

fn read(text: &str) -> Case {
    Case::parse(text, Path::new("cases/a.toml")).unwrap()
}

fn wrong(text: &str) -> String {
    Case::parse(text, Path::new("cases/a.toml")).unwrap_err().to_string()
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
        assert_eq!(format!("{}\n", wrong(text)), said, "{text}");
    }
}

#[test]
fn the_example_is_a_case() {
    let text = include_str!("example.toml");
    let case = Case::parse(text, Path::new("cases/example.toml")).unwrap();
    assert_eq!(case.name, "example");
    assert_eq!(case.clock.to_string(), "2026-01-31T23:59:30Z");
    assert_eq!(case.calls.len(), 7);
    let second = case.calls.get(1).unwrap();
    assert_eq!(second.after, Duration::from_millis(20));
    assert_eq!(text.lines().nth(second.line - 1), Some("[[call]]"));
    let Action::Query { parameters, .. } = &second.action else { panic!("{second:?}") };
    assert_eq!(parameters.len(), 2);
}

#[test]
fn json_is_a_text_or_values_of_toml() {
    let body = |json: &str| {
        let text = format!("[request]\npath = \"/\"\njson = {json}\n");
        match Case::parse(&text, Path::new("cases/a.toml")) {
            Ok(Case {
                request: Request { content: Content::Whole(Body::Json(json)), .. }, ..
            }) => json,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(body("'{\"b\":  1}'"), "{\"b\":  1}");
    assert_eq!(
        body("{ name = \"Ada\", tags = [1, 2.5, true], in = { a = \"\\\"\" } }"),
        r#"{"in":{"a":"\""},"name":"Ada","tags":[1,2.5,true]}"#
    );
    assert_eq!(body("[]"), "[]");
    assert_eq!(body("3"), "3");
    let table = "[request]\npath = \"/\"\n[request.json]\na = 1\n[response]\nstatus = 200\n";
    assert!(Case::parse(table, Path::new("cases/a.toml")).is_ok());
}

#[test]
fn what_json_has_not_is_told() {
    for (json, expected) in [
        ("{ at = 2026-01-31 }", "cases/a.toml:3: error: json: there are no times in JSON"),
        ("[nan]", "cases/a.toml:3: error: json: there is no number NaN"),
        ("hello", "cases/a.toml:3: error: "),
    ] {
        let told = wrong(&format!("[request]\npath = \"/\"\njson = {json}\n"));
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn what_cannot_be_read_again_is_written_all_the_same() {
    let mut case = read("request.path = \"/\"\n[response]\nstatus = 200\n");
    case.seed = u64::MAX;
    case.request.path = "no path".to_string();
    case.request.headers = vec![("a b".to_string(), "é".to_string())];
    case.request.content = Content::Whole(Body::Json("{".to_string()));
    let call = |action| Call { action, ..read_call() };
    case.calls = vec![call(Action::Commit { answer: CallAnswer::Value(()) }), read_call()];
    let written = case.to_toml();
    let expected = "seed = 9223372036854775807\n\n[request]\npath = \"no path\"\nheaders = { \"a b\" = \"é\" }\njson = \"{\"\n\n\
                    [[call]]\ncommit = true\n\n[[call]]\nexecute = \"a\"\nanswer.changed = 0\n\n\
                    [response]\nstatus = 200\n";
    assert_eq!(written, expected);
}

fn read_call() -> Call {
    read("request.path = \"/\"\n[[call]]\nexecute = \"a\"\n").calls.remove(0)
}
