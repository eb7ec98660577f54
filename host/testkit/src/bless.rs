//! Write down what was seen as what is expected, in the case's own file: only what differs changes, and comments
//! stay.

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};

use super::case::file;
use super::case::forms::json_of;
use super::case::keys::Keys;
use super::case::{
    Action, Body, Call, CallAnswer, Case, Chunk, Exchange, Expected, FunctionAnswer, HttpAnswer,
    Outcome, Response, ResponseEnd, RowsAnswer,
};
use super::fake::function::UNSCRIPTED;
use super::judge::can_be_expected;
use super::run::Observed;
use super::script::{ObservedCall, Question};
use wasm_host_capabilities::postgres::backend::Error;

/// The key of `[[call]]` that says nothing of what is expected.
const ANSWER: &str = "answer";

/// The file's text with what was seen in place of what was expected.
///
/// # Errors
/// Why that cannot be: a component that never comes to an end has nothing that can be expected of it.
pub fn bless(text: &str, case: &Case, observed: &Observed) -> Result<String, String> {
    let Some(end) = can_be_expected(observed) else {
        return Err("it did not come to an end".to_string());
    };
    let mut file: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    // There they have no place for what is new, and their answers must not be lost.
    if file.get("call").is_some_and(|calls| !calls.is_array_of_tables()) {
        return Err("its calls are in one line; write each below a line [[call]]".to_string());
    }
    let mut response = response(case.response.as_ref(), observed, end);
    let mut wanted = Keys::write();
    // What is written is not judged.
    let _ = file::response(&mut wanted, &mut response, case.request.leave.is_some());
    let wanted = wanted.written();
    if let Some(table) = file.get_mut("response").and_then(Item::as_table_mut) {
        merge(table, wanted);
    } else {
        file.insert("response", Item::Table(wanted));
    }
    calls(&mut file, case, &observed.calls);
    log(&mut file, &observed.log);
    Ok(file.to_string())
}

/// Only texts that were printed can be expected.
fn log(file: &mut DocumentMut, printed: &str) {
    let Some(texts) = file.get_mut("log").and_then(Item::as_array_mut) else { return };
    texts.retain(|text| text.as_str().is_none_or(|text| printed.contains(text)));
    if texts.is_empty() {
        file.remove("log");
    }
}

fn response(expected: Option<&Response>, observed: &Observed, end: ResponseEnd) -> Response {
    let media_type = observed.header("content-type");
    let body = observed.body();
    let Some(expected) = expected else {
        let kind = media_type.map(|kind| ("content-type".to_string(), Some(kind.to_string())));
        return Response {
            status: observed.status,
            headers: kind.into_iter().collect(),
            body: observed.status.map(|_| Body::of(body, media_type)),
            chunks: None,
            end,
            reason: observed.reason.clone(),
        };
    };
    let header = |(name, _): &(String, Option<String>)| {
        (name.clone(), observed.header(name).map(str::to_string))
    };
    let seen = expected.body.as_ref().map(|expected| match expected {
        same if same.is(&body) => same.clone(),
        Body::Text(_) => match String::from_utf8(body.clone()) {
            Ok(text) => Body::Text(text),
            Err(error) => Body::Bytes(error.into_bytes()),
        },
        Body::Json(_) => Body::of(body.clone(), None),
        Body::Bytes(_) => Body::Bytes(body.clone()),
    });
    let chunk = |(at, bytes): &(std::time::Duration, Vec<u8>)| Chunk {
        at: *at,
        body: Body::of(bytes.clone(), Some("text/plain")),
    };
    let seen_reason = observed.reason.clone();
    let reason = expected.reason.as_ref().map(|part| match seen_reason {
        Some(whole) if whole.contains(part.as_str()) => part.clone(),
        other => other.unwrap_or_default(),
    });
    Response {
        status: observed.status,
        headers: expected.headers.iter().map(header).collect(),
        body: seen,
        chunks: expected.chunks.as_ref().map(|_| observed.chunks.iter().map(chunk).collect()),
        end,
        reason: reason.filter(|reason| !reason.is_empty()),
    }
}

/// The calls in the order in which they were made: those of the file with their answers, and those that nothing was
/// scripted for with what the component was told.
fn calls(file: &mut DocumentMut, case: &Case, seen: &[ObservedCall]) {
    let old = file.get("call").and_then(Item::as_array_of_tables).cloned().unwrap_or_default();
    let position = old.get(0).and_then(Table::position);
    let mut new = ArrayOfTables::new();
    for seen in seen {
        let scripted =
            seen.answered_by.and_then(|index| Some((case.calls.get(index)?, old.get(index)?)));
        let mut table = match scripted {
            Some((call, table)) => {
                let mut table = table.clone();
                merge(&mut table, written(call_of(seen, Some(call))));
                table
            }
            None => written(call_of(seen, None)),
        };
        table.set_position(position);
        new.push(table);
    }
    if new.is_empty() {
        file.remove("call");
    } else {
        file.insert("call", Item::ArrayOfTables(new));
    }
}

/// A call that was seen as a case would have it, with the answer that it was given if nothing was scripted.
pub fn call_of(seen: &ObservedCall, scripted: Option<&Call>) -> Call {
    let down = || Error::Unavailable("the case has no answer to this call".to_string());
    let same = scripted.filter(|call| seen.question.is_answered_by(&call.action));
    let action = match (&seen.question, same) {
        (Question::Begin, _) => {
            let known = scripted.and_then(|call| match &call.action {
                Action::Begin { outcome, .. } => Some(*outcome),
                _ => None,
            });
            let outcome = seen.outcome.or(known).unwrap_or(Outcome::RolledBack);
            Action::Begin { outcome, answer: CallAnswer::Error(down()) }
        }
        (_, Some(call)) => call.action.clone(),
        (Question::Query { statement, parameters }, None) => Action::Query {
            statement: statement.clone(),
            parameters: parameters.iter().cloned().map(Expected::Exactly).collect(),
            answer: RowsAnswer::Refused(down()),
        },
        (Question::Execute { statement, parameters }, None) => Action::Execute {
            statement: statement.clone(),
            parameters: parameters.iter().cloned().map(Expected::Exactly).collect(),
            answer: CallAnswer::Error(down()),
        },
        (Question::Commit, None) => Action::Commit { answer: CallAnswer::Error(down()) },
        (Question::Rollback, None) => Action::Rollback { answer: CallAnswer::Error(down()) },
        (Question::Function(call), None) => {
            let answer = FunctionAnswer::Unreachable(UNSCRIPTED.to_string());
            Action::Function { call: call.clone(), answer }
        }
        (Question::Http(asked), None) => {
            let wanted = match scripted.map(|call| &call.action) {
                Some(Action::Http { exchange, .. }) => exchange.headers.as_slice(),
                _ => &[],
            };
            let value = |(name, _): &(String, String)| {
                let own = asked.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
                own.map(|(_, value)| (name.clone(), value.clone()))
            };
            Action::Http {
                exchange: Exchange {
                    to: asked.to,
                    method: asked.method.clone(),
                    target: asked.target.clone(),
                    headers: wanted.iter().filter_map(value).collect(),
                    body: Some(asked.body.clone())
                        .filter(|body| !body.is_empty())
                        .map(|body| Body::of(body, None)),
                    any_body: false,
                },
                answer: HttpAnswer::Unreachable("the case has no answer to this call".to_string()),
            }
        }
    };
    Call {
        line: 0,
        transaction: seen.transaction,
        action,
        cancelled: seen.cancelled,
        after: std::time::Duration::ZERO,
    }
}

fn written(call: Call) -> Table {
    let mut keys = Keys::write();
    // What is written is not judged.
    let _ = file::call(&mut keys, Some(call));
    keys.written()
}

/// Make `table` say what `wanted` says of what is expected. What says the same already stays as it is written.
fn merge(table: &mut Table, wanted: Table) {
    table.retain(|key, _| key == ANSWER || wanted.contains_key(key));
    for (key, new) in wanted {
        match table.get_mut(&key) {
            _ if key == ANSWER => {}
            None => drop(table.insert(&key, new)),
            Some(old) => replace(&key, old, new),
        }
    }
}

fn replace(key: &str, old: &mut Item, new: Item) {
    // JSON and headers may be tables of their own.
    let (Ok(before), Item::Value(mut value)) = (old.clone().into_value(), new) else { return };
    if plain(key, &before) != plain(key, &value) {
        *value.decor_mut() = before.decor().clone();
        *old = Item::Value(value);
    }
}

/// What a value says, without how it is written.
fn plain(key: &str, value: &toml_edit::Value) -> Option<toml::Value> {
    // Through its text: two ways to write a text are one value.
    let mut table: toml::Table =
        toml::from_str(&format!("v = {}", value.to_string().trim())).ok()?;
    let value = table.remove("v")?;
    match key {
        "json" => Some(json_of(value).ok()?.to_string().into()),
        _ => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::judge::judge;
    use crate::run::RunEnd;
    use crate::script::Script;

    const TEXT: &str = r#"# about it
log = ["printed", "not printed"]
request.path = "/"  # the path

# first
[[call]]
query = "old"  # the statement
answer.columns = ["n int4"]
answer.rows = [[1]]

[[call]]
query = "gone"
answer.columns = ["n int4"]

# the answer
[response]
status = 200 # fine
json = '''{"a":  1}'''
headers = { x-a = "1" }
"#;

    fn observed(case: &Case, statements: &[&str]) -> Observed {
        let script = Script::new(case.matching, case.calls.clone());
        for statement in statements {
            let statement = (*statement).to_string();
            let question = Question::Query { statement, parameters: Vec::new() };
            if let Some(given) = script.ask(None, question) {
                given.ticket.finish();
            }
        }
        Observed {
            status: Some(201),
            headers: vec![("x-a".to_string(), "2".to_string())],
            chunks: vec![(std::time::Duration::ZERO, b"{\"a\":1}".to_vec())],
            end: RunEnd::Response(ResponseEnd::Whole),
            reason: None,
            backtrace: None,
            calls: script.close(),
            log: "it printed".to_string(),
            virtual_time: std::time::Duration::ZERO,
            took: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn what_was_seen_is_written_in_place_and_comments_stay() {
        let case = Case::parse(TEXT, Path::new("a.toml")).unwrap();
        let seen = observed(&case, &["new"]);
        assert!(!judge(&case, &seen).is_empty());
        let blessed = bless(TEXT, &case, &seen).unwrap();
        let expected = TEXT
            .replace(", \"not printed\"", "")
            .replace("\"old\"", "\"new\"")
            .replace("status = 200", "status = 201")
            .replace("x-a = \"1\"", "x-a = \"2\"")
            .replace("[[call]]\nquery = \"gone\"\nanswer.columns = [\"n int4\"]\n\n", "");
        assert_eq!(blessed, expected);
        let again = Case::parse(&blessed, Path::new("a.toml")).unwrap();
        assert_eq!(judge(&again, &observed(&again, &["new"])), []);
    }

    #[test]
    fn json_that_is_written_as_a_table_stays_where_it_says_what_was_seen() {
        let text = "request.path = \"/\"\n[response]\nstatus = 200\njson = { a = 1 }  # it\n";
        let case = Case::parse(text, Path::new("a.toml")).unwrap();
        let blessed = bless(text, &case, &observed(&case, &[])).unwrap();
        assert_eq!(blessed, text.replace("200", "201"));
        for other in [
            text.replace("a = 1", "b = 2"),
            text.replace("json = { a = 1 }  # it\n", "[response.json]\na = 2\n"),
        ] {
            let case = Case::parse(&other, Path::new("a.toml")).unwrap();
            let blessed = bless(&other, &case, &observed(&case, &[])).unwrap();
            let again = Case::parse(&blessed, Path::new("a.toml")).unwrap();
            assert_eq!(judge(&again, &observed(&again, &[])), [], "{blessed}");
        }
    }

    #[test]
    fn a_case_without_a_response_gets_one_and_calls_nobody_scripted_are_added() {
        let text = "request.path = \"/\"\n";
        let case = Case::parse(text, Path::new("a.toml")).unwrap();
        let blessed = bless(text, &case, &observed(&case, &["a"])).unwrap();
        let again = Case::parse(&blessed, Path::new("a.toml")).unwrap();
        assert_eq!(judge(&again, &observed(&again, &["a"])), [], "{blessed}");
    }

    #[test]
    fn a_component_that_does_not_end_cannot_be_blessed() {
        let case = Case::parse(TEXT, Path::new("a.toml")).unwrap();
        let mut seen = observed(&case, &[]);
        seen.end = RunEnd::Computing;
        assert!(bless(TEXT, &case, &seen).unwrap_err().contains("come to an end"));
    }

    #[test]
    fn calls_in_one_line_are_left_alone() {
        let text =
            "call = [{ query = \"a\", answer = { error = \"ended\" } }]\nrequest.path = \"/\"\n";
        let case = Case::parse(text, Path::new("a.toml")).unwrap();
        assert!(bless(text, &case, &observed(&case, &["b"])).unwrap_err().contains("[[call]]"));
    }
}
