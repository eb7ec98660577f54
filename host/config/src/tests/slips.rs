//! Slips of notation: which one it is, and how much of the rest is read.

use super::*;

#[test]
fn each_slip_has_its_words() {
    let application = Application::new();
    for (line, expected) in [
        ("x", "1:2: error: a key without a value; write key = \"value\""),
        ("x y = 1", "1:3: error: a key without a value; write key = \"value\""),
        ("[x", "1:3: error: a table header that is not closed; end it with ']'"),
        ("[[x]", "1:5: error: a table header that is not closed; end it with ']]'"),
        ("x = [1, 2", "1:10: error: a list that is not closed; end it with ']'"),
        (
            "x = [\"a\" \"b\"]",
            "1:10: error: a list that is not closed, or a missing comma; end it with ']'",
        ),
        ("x = { a = 1", "1:12: error: a table that is not closed; end it with '}'"),
        ("x = \"abc", "1:9: error: a string that is not valid; does it end with '\"'?"),
        ("x = 'abc", "1:9: error: a string that is not valid; does it end with \"'\"?"),
        ("x =", "1:4: error: a value is missing or needs quotes; write key = \"value\""),
        ("x = yes", "1:5: error: a value is missing or needs quotes; write key = \"value\""),
        ("x = abc\"", "1:5: error: a value is missing or needs quotes; write key = \"value\""),
        ("x = 1.2.3", "1:8: error: not a valid number; what is not a number needs quotes"),
        ("x = 1_", "1:6: error: not a valid number; what is not a number needs quotes"),
        ("x = -07", "1:6: error: a number with a leading zero; remove the zero"),
        // The parser's own words, which nothing looks at.
        ("x = tru", "1:5: error: not valid TOML: "),
        ("x = \"a\\q\"", "1:8: error: not valid TOML: "),
        ("x = { a 1 }", "1:9: error: not valid TOML: "),
        ("\u{e4} = 1", "1:1: error: not valid TOML: "),
        ("= 1", "1:1: error: not valid TOML: "),
    ] {
        let told = application.rejected(line);
        let expected = format!("wasm-host.toml:{expected}");
        assert!(told.lines().any(|told| told.starts_with(&expected)), "{line}: {told}");
    }
}

#[test]
fn keys_that_are_there_already() {
    let application = Application::new();
    for (text, expected) in [
        ("x = 1\nx = 2", "2:1: error: 'x' stands here for the second time; keep one of them"),
        ("[x]\n[x]", "2:2: error: 'x' stands here for the second time; keep one of them"),
        (
            "x = { a = 1, a = 2 }",
            "1:14: error: 'a' stands here for the second time; keep one of them",
        ),
        (
            "http = { drain = \"1s\" }\n[http.tls]",
            "2:2: error: 'http' stands before, and nothing can be added to it; write all of it in one place",
        ),
        (
            "x = 1\nx . y = 2",
            "2:1: error: 'x' stands before, and nothing can be added to it; write all of it in one place",
        ),
    ] {
        let told = application.rejected(text);
        let expected = format!("wasm-host.toml:{expected}");
        assert!(told.lines().any(|told| told == expected), "{text}: {told}");
    }
}

#[test]
fn behind_a_slip_within_a_value_the_rest_is_read() {
    let application = Application::new();
    for value in ["1_", "007", "tru", "\"a\\qb\"", "yes", "\"abc", "2020-13-01"] {
        let told =
            application.rejected(&format!("name = \"shop\"\nhttp.streams = {value}\nfoo = 1\n"));
        assert!(told.contains("\nwasm-host.toml:2:"), "{value}: {told}");
        assert!(told.contains("wasm-host.toml:3:1: error: unknown key 'foo'"), "{value}: {told}");
    }
}

#[test]
fn what_is_nested_without_end_is_told() {
    let told = Application::new().rejected(&format!("x = {}", "[".repeat(10_000)));
    assert!(told.contains("not valid TOML"), "{told}");
}
