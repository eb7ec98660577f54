use super::*;
use crate::case::Action;

fn wrong(text: &str) -> String {
    Case::parse(text, Path::new("cases/a.toml")).unwrap_err().to_string()
}

#[test]
fn the_example_is_a_case() {
    let text = include_str!("../example.toml");
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
fn what_is_wrong_is_told_with_its_line() {
    for (text, expected) in [
        (
            "[request]\npath = \"/\"\n\nmethid = \"GET\"\n",
            "cases/a.toml:4: error: unknown field `methid`",
        ),
        ("[request]\nmethod = \"GET\"\n", "cases/a.toml:1: error: missing field `path`"),
        (
            "[request]\npath = \"/\"\n[[call]]\nquery = \"a\"\n\n[[call]]\nquery = \"b\"\nanswer.columns = []\nexecute = \"x\"\n",
            "cases/a.toml:3: error: answer: a query is answered",
        ),
        (
            "[request]\npath = \"/\"\n\n[[call]]\nexecute = \"b\"\nanswer.columns = []\n",
            "cases/a.toml:4: error: this kind of call has no `answer.columns`",
        ),
        (
            "[request]\npath = \"/\"\n[[call]]\nquery = \"b\"\nanswer.columns = [\"n int4\"]\nanswer.rows = [[\"x\"]]\n",
            "cases/a.toml:3: error: answer.rows: column n: \"x\" is no int4",
        ),
        ("[request]\npath = \"/\"\njson = \"{\"\n", "cases/a.toml:1: error: json: "),
        (
            "[request]\npath = \"/\"\n[response]\n",
            "cases/a.toml:3: error: a response has a `status`",
        ),
        ("[request]\npath = \"/a b\"\n", "cases/a.toml:1: error: path: '/a b' is no path of a URL"),
        (
            "[request]\npath = \"/\"\nheaders = { \"a b\" = \"c\" }\n",
            "cases/a.toml:1: error: headers: 'a b' is no header's name",
        ),
        (
            "[request]\npath = \"/\"\n[[call]]\nexecute = \"b\"\nanswer.end = \"disconnect\"\n",
            "cases/a.toml:3: error: answer: a database ends with",
        ),
        ("patience = \"soon\"\n[request]\npath = \"/\"\n", "cases/a.toml:1: error: patience: "),
    ] {
        let told = wrong(text);
        assert!(told.starts_with(expected), "{told}");
    }
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
