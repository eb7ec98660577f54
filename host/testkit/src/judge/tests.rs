use std::path::Path;

use super::*;
use crate::script::{Question, Script};
use wasm_host_capabilities::postgres::backend::{Scalar, Value};

fn case(text: &str) -> Case {
    Case::parse(text, Path::new("a.toml")).unwrap()
}

fn query(statement: &str, parameters: Vec<Value>) -> Question {
    Question::Query { statement: statement.to_string(), parameters }
}

/// What the component of `case` does if it asks these questions, gets all answers, and answers this.
fn observed(case: &Case, questions: Vec<Question>, status: u16, body: &str) -> Observed {
    let script = Script::new(case.matching, case.calls.clone());
    for question in questions {
        if let Some(given) = script.ask(None, question) {
            given.ticket.finish();
        }
    }
    Observed {
        status: Some(status),
        chunks: vec![(std::time::Duration::ZERO, body.into())],
        calls: script.close(),
        ..Observed::new()
    }
}

const TWO: &str = r#"
request.path = "/"
[[call]]
query = "a"
parameters = [3, "x"]
answer.columns = ["n int4"]
[[call]]
query = "b"
answer.columns = ["n int4"]
[response]
status = 200
json = '{"a": 1, "b": [2]}'
"#;

fn as_expected() -> Vec<Question> {
    let parameters =
        vec![Value::Scalar(Scalar::Int16(3)), Value::Scalar(Scalar::Text("x".to_string()))];
    vec![query("a", parameters), query("b", Vec::new())]
}

#[test]
fn what_is_as_expected_passes_however_it_is_spelled() {
    let case = case(TWO);
    let observed = observed(&case, as_expected(), 200, "{\"b\":[2],\"a\":1}");
    assert_eq!(judge(&case, &observed), []);
}

#[test]
fn a_difference_shows_the_lines_that_differ() {
    let case = case(TWO);
    let observed = observed(&case, as_expected(), 200, "{\"b\":[3],\"a\":1}");
    let [difference] = judge(&case, &observed).try_into().unwrap();
    assert_eq!(difference.about, "response");
    assert!(difference.text.contains("-     2\n+     3\n"), "{}", difference.text);
    assert!(difference.text.contains("  status 200\n"), "{}", difference.text);
}

#[test]
fn bodies_that_are_shown_alike_are_not_taken_for_one() {
    let case = case("request.path = \"/\"\n[response]\nstatus = 200\ntext = \"a\"\n");
    let seen = observed(&case, Vec::new(), 200, "a (no end of line)\n");
    let [difference] = judge(&case, &seen).try_into().unwrap();
    assert!(difference.text.contains("+ (other bytes"), "{}", difference.text);
}

#[test]
fn calls_that_are_missing_other_or_too_many_are_named() {
    let case = case(TWO);
    let told = |questions| {
        let differences = judge(&case, &observed(&case, questions, 200, "{\"b\":[2],\"a\":1}"));
        differences.into_iter().map(|difference| difference.text).collect::<String>()
    };
    let mut questions = as_expected();
    questions.pop();
    assert!(told(questions).contains("- query b\n"));
    let mut questions = as_expected();
    questions.push(query("c", Vec::new()));
    assert!(told(questions).contains("+ query c\n"));
    let mut questions = as_expected();
    questions[0] = query("a", vec![Value::Scalar(Scalar::Int16(4))]);
    let text = told(questions);
    assert!(text.contains("-   $1 = 3\n") && text.contains("+   $1 = { int16 = 4 }\n"), "{text}");
}

#[test]
fn lenient_cases_mind_neither_order_nor_what_is_left_or_extra() {
    let case = case(&format!("match = \"lenient\"\n{TWO}"));
    let seen = |questions| observed(&case, questions, 200, "{\"b\":[2],\"a\":1}");
    let mut questions = as_expected();
    questions.reverse();
    questions.push(query("c", Vec::new()));
    assert_eq!(judge(&case, &seen(questions)), []);
    assert_eq!(judge(&case, &seen(Vec::new())), []);
    // The answer is to the question, not to its place.
    let [first] = seen(vec![query("b", Vec::new())]).calls.try_into().unwrap();
    assert_eq!(first.answered_by, Some(1));
}

#[test]
fn a_call_that_is_given_up_is_told_unless_the_case_says_so() {
    for (says, differences) in [("", 1), ("cancelled = true\n", 0)] {
        let case = case(&format!(
            "request.path = \"/\"\n[[call]]\n{says}execute = \"a\"\n[response]\nstatus = 200\n"
        ));
        let script = Script::new(case.matching, case.calls.clone());
        let question = Question::Execute { statement: "a".to_string(), parameters: Vec::new() };
        drop(script.ask(None, question));
        let observed = Observed { calls: script.close(), status: Some(200), ..Observed::new() };
        assert_eq!(judge(&case, &observed).len(), differences, "{says}");
    }
}
