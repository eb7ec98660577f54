//! Rules for single files: their size, their names, and marks of unfinished work.

/// Larger things belong elsewhere: every clone carries every version of them for ever.
const LARGEST_KIB: usize = 256;

/// A file longer than this has more than one subject.
const MOST_LINES: usize = 500;

const CODE: [&str; 3] = [".rs", ".ts", ".tsx"];
const SCRIPTS: [&str; 5] = [".ts", ".tsx", ".js", ".mjs", ".jsx"];

/// In two halves each, because this file is checked as well.
const UNFINISHED: [&str; 3] = [concat!("FIX", "ME"), concat!("dbg", "!("), concat!("todo", "!(")];

/// Switches every other test off.
const ALONE: &str = concat!(".on", "ly(");

/// Components made for the tests are built as components only: a test in one of them would neither run nor be linted.
const GUESTS: &str = "tests/guests/";
const TESTS: [&str; 2] = ["#[test]", "cfg(test)"];

pub(super) fn size(path: &str, bytes: usize) -> Option<String> {
    let exempt = path.ends_with("Cargo.lock")
        || path.ends_with("package-lock.json")
        || path.ends_with(".png");
    (bytes > LARGEST_KIB * 1024 && !exempt)
        .then(|| format!("{path} has {} KiB, more than {LARGEST_KIB}", bytes / 1024))
}

pub(super) fn problems(path: &str, text: &str) -> Vec<String> {
    let is = |endings: &[&str]| endings.iter().any(|ending| path.ends_with(ending));
    let mut problems = Vec::new();
    if path == "mod.rs" || path.ends_with("/mod.rs") {
        problems.push(format!("{path}: a module `x` is the file `x.rs`"));
    }
    let lines = text.lines().count();
    if is(&CODE) && lines > MOST_LINES {
        problems.push(format!("{path} has {lines} lines, more than {MOST_LINES}"));
    }
    for (number, line) in text.lines().enumerate() {
        let code = is(&CODE) || is(&SCRIPTS);
        let unfinished = UNFINISHED.into_iter().filter(|_| code);
        let alone = [ALONE].into_iter().filter(|_| is(&SCRIPTS));
        let is_guest = path.starts_with(GUESTS) && path.ends_with(".rs");
        for mark in TESTS.into_iter().filter(|mark| is_guest && line.contains(mark)) {
            problems.push(format!(
                "{path}:{}: `{mark}` in a component of the tests, whose tests nothing runs",
                number + 1
            ));
        }
        for mark in unfinished.chain(alone).filter(|mark| line.contains(mark)) {
            problems.push(format!("{path}:{}: `{mark}` was left", number + 1));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_refused_unless_a_tool_writes_them() {
        assert!(size("a/b.json", 300 * 1024).is_some());
        assert!(size("a/b.json", 256 * 1024).is_none());
        assert!(size("web/package-lock.json", 300 * 1024).is_none());
        assert!(size("web/screen.png", 300 * 1024).is_none());
    }

    #[test]
    fn components_of_the_tests_have_no_tests() {
        let module = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn a() {}\n}\n";
        let found = problems("tests/guests/hostile/src/lib.rs", module);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].contains("hostile/src/lib.rs:3: `#[test]` in a component"), "{found:?}");
        assert!(problems("components/weather/src/lib.rs", module).is_empty());
    }

    #[test]
    fn unfinished_work_is_found_in_code_only() {
        let text = format!("a\n// {}: later\n", concat!("FIX", "ME"));
        assert_eq!(problems("a.rs", &text).len(), 1);
        assert!(problems("a.rs", &text).concat().starts_with("a.rs:2: "));
        assert_eq!(problems("a.md", &text), Vec::<String>::new());
    }

    #[test]
    fn a_lonely_test_is_found_in_scripts_only() {
        let text = concat!("test.on", "ly('x')");
        assert_eq!(problems("a.test.ts", text).len(), 1);
        assert_eq!(problems("a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn long_files_and_mod_files_are_found() {
        assert_eq!(problems("a.tsx", &"x\n".repeat(501)).len(), 1);
        assert_eq!(problems("a.tsx", &"x\n".repeat(500)), Vec::<String>::new());
        assert_eq!(problems("a.wit", &"x\n".repeat(501)), Vec::<String>::new());
        assert_eq!(problems("src/a/mod.rs", "").len(), 1);
    }
}
