//! Responses and calls as lines. Every function gives the expected ones and the seen ones.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::ending;
use crate::case::forms::show_duration;
use crate::case::value::show;
use crate::case::{Action, Body, Call, Case, Outcome, Response, Target};
use crate::run::Observed;
use crate::script::{ObservedCall, Question};
use wasm_host_capabilities::function::FunctionCall;

/// Both sides of a comparison.
type Sides = (String, String);

pub(super) fn response(expected: &Response, observed: &Observed) -> Sides {
    let (mut one, mut other) = (String::new(), String::new());
    let status = |status: Option<u16>| {
        status.map_or("no response\n".to_string(), |status| format!("status {status}\n"))
    };
    one += &status(expected.status);
    other += &status(observed.status);
    for (name, wanted) in &expected.headers {
        let header = |value: Option<&str>| match value {
            Some(value) => format!("{name}: {value}\n"),
            None => format!("{name} is absent\n"),
        };
        one += &header(wanted.as_deref());
        other += &header(seen_header(observed, name, wanted.as_deref()).as_deref());
    }
    if let Some(body) = &expected.body {
        let seen = observed.body();
        let (expected, seen) = bodies(body, &seen);
        one += &expected;
        other += &seen;
    }
    if let Some(chunks) = &expected.chunks {
        for chunk in chunks {
            one += &format!("after {}\n{}", show_duration(chunk.at), text_of(chunk.body.bytes()));
        }
        for (at, bytes) in &observed.chunks {
            other += &format!("after {}\n{}", show_duration(*at), text_of(bytes));
        }
    }
    one += &format!("end {}\n", expected.end.name());
    other += &format!("end {}\n", ending(observed.end));
    if let Some(reason) = &expected.reason {
        let seen = observed.reason.as_deref().unwrap_or("(none)");
        one += &format!("reason {reason}\n");
        // A part of it is enough.
        let told = if seen.contains(reason.as_str()) { reason } else { seen };
        other += &format!("reason {told}\n");
    }
    (one, other)
}

/// The value that was wanted if it is there, else the first.
fn seen_header(observed: &Observed, name: &str, wanted: Option<&str>) -> Option<String> {
    let own = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
    let values: Vec<_> = observed.headers.iter().filter(own).map(|(_, value)| value).collect();
    let found = values.iter().find(|value| Some(value.as_str()) == wanted);
    found.or(values.first()).map(|value| (*value).clone())
}

fn bodies(expected: &Body, seen: &[u8]) -> Sides {
    let shown = match expected {
        Body::Json(text) => json(text.as_bytes()),
        Body::Text(_) | Body::Bytes(_) => text_of(expected.bytes()),
    };
    if expected.is(seen) {
        return (shown.clone(), shown);
    }
    let mut seen = match expected {
        Body::Json(_) => json(seen),
        Body::Text(_) | Body::Bytes(_) => text_of(seen),
    };
    if seen == shown {
        seen += "(other bytes that are shown alike)\n";
    }
    (shown, seen)
}

/// JSON a member per line, in one order.
fn json(bytes: &[u8]) -> String {
    let pretty = serde_json::from_slice::<serde_json::Value>(bytes)
        .and_then(|value| serde_json::to_string_pretty(&value));
    pretty.map_or_else(|_| text_of(bytes), |text| text + "\n")
}

fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => String::new(),
        Ok(text) if text.ends_with('\n') => text.to_string(),
        // Else a missing line's end could not be seen.
        Ok(text) => format!("{text} (no end of line)\n"),
        Err(_) => format!("base64 {}\n", BASE64_STANDARD.encode(bytes)),
    }
}

pub(super) fn calls(case: &Case, seen: &[ObservedCall]) -> Sides {
    let one: Vec<String> = case
        .calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            // Written as it was asked, if that is what was expected.
            let asked = seen.iter().find(|seen| {
                seen.answered_by == Some(index) && seen.question.is_answered_by(&call.action)
            });
            let (question, outcome) = match asked {
                Some(asked) => (of_question(&asked.question, Some(call)), outcome(&call.action)),
                None => (of_action(&call.action), outcome(&call.action)),
            };
            entry(question, call.transaction, call.cancelled, outcome)
        })
        .collect();
    (one.concat(), seen.iter().map(|seen| of_seen(case, seen)).collect::<Vec<_>>().concat())
}

/// Only how the calls ended.
pub(super) fn endings(case: &Case, seen: &[ObservedCall]) -> Sides {
    let (mut one, mut other) = (String::new(), String::new());
    for seen in seen {
        let Some(call) = seen.answered_by.and_then(|index| case.calls.get(index)) else { continue };
        let question = of_question(&seen.question, Some(call));
        let expected = outcome(&call.action);
        one += &entry(question.clone(), seen.transaction, call.cancelled, expected);
        other += &entry(question, seen.transaction, seen.cancelled, expected.and(seen.outcome));
    }
    (one, other)
}

fn of_seen(case: &Case, seen: &ObservedCall) -> String {
    let call = seen.answered_by.and_then(|index| case.calls.get(index));
    // A begin that failed began nothing, and has no outcome.
    let began = matches!(seen.question, Question::Begin);
    let expected = call.and_then(|call| outcome(&call.action));
    let end = if began { seen.outcome.or(expected) } else { None };
    entry(of_question(&seen.question, call), seen.transaction, seen.cancelled, end)
}

fn entry(
    question: String,
    transaction: Option<usize>,
    cancelled: bool,
    outcome: Option<Outcome>,
) -> String {
    let mut text = question;
    if let Some(number) = transaction {
        text += &format!("  in transaction {number}\n");
    }
    if let Some(outcome) = outcome {
        text += &format!("  {}\n", outcome.name());
    }
    if cancelled {
        text += "  cancelled\n";
    }
    text
}

fn outcome(action: &Action) -> Option<Outcome> {
    match action {
        Action::Begin { outcome, .. } => Some(*outcome),
        _ => None,
    }
}

fn of_action(action: &Action) -> String {
    match action {
        Action::Query { statement, parameters, .. } => {
            statement_of("query", statement, parameters.iter().map(ToString::to_string))
        }
        Action::Execute { statement, parameters, .. } => {
            statement_of("execute", statement, parameters.iter().map(ToString::to_string))
        }
        Action::Begin { .. } => "begin\n".to_string(),
        Action::Commit { .. } => "commit\n".to_string(),
        Action::Rollback { .. } => "rollback\n".to_string(),
        Action::Http { exchange, .. } => request_of(
            exchange.to,
            &exchange.method,
            &exchange.target,
            &exchange.headers,
            exchange.body.as_ref().map(Body::bytes).unwrap_or_default(),
        ),
        Action::Function { call, .. } => function_of(call),
    }
}

fn of_question(question: &Question, call: Option<&Call>) -> String {
    match question {
        Question::Query { statement, parameters } => {
            statement_of("query", statement, parameters.iter().map(show))
        }
        Question::Execute { statement, parameters } => {
            statement_of("execute", statement, parameters.iter().map(show))
        }
        Question::Begin => "begin\n".to_string(),
        Question::Commit => "commit\n".to_string(),
        Question::Rollback => "rollback\n".to_string(),
        Question::Function(call) => function_of(call),
        Question::Http(asked) => {
            let wanted = match call.map(|call| &call.action) {
                Some(Action::Http { exchange, .. }) => exchange.headers.as_slice(),
                _ => &[],
            };
            // Of its headers only those that the case speaks of.
            let value = |(name, value): &(String, String)| {
                let mut own =
                    asked.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
                let found = own.clone().find(|(_, own)| own == value).or(own.next());
                found.map(|(_, value)| (name.clone(), value.clone()))
            };
            let headers: Vec<_> = wanted.iter().filter_map(value).collect();
            request_of(asked.to, &asked.method, &asked.target, &headers, &asked.body)
        }
    }
}

fn statement_of(kind: &str, statement: &str, parameters: impl Iterator<Item = String>) -> String {
    let mut text = format!("{kind} {}\n", statement.trim_end().replace('\n', "\n  "));
    for (index, parameter) in parameters.enumerate() {
        text += &format!("  ${} = {parameter}\n", index + 1);
    }
    text
}

fn function_of(call: &FunctionCall) -> String {
    let mut text = format!("{}\n", call.function);
    for (name, argument) in &call.arguments {
        text += &format!("  {name} = {argument}\n");
    }
    text
}

fn request_of(
    to: Target,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> String {
    let to = match to {
        Target::Ollama => "ollama",
        Target::Service => "http",
    };
    let mut text = format!("{to} {method} {target}\n");
    for (name, value) in headers {
        text += &format!("  {name}: {value}\n");
    }
    for line in json(body).lines() {
        text += &format!("  {line}\n");
    }
    text
}
