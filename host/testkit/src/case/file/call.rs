//! One `[[call]]`: what is asked, and the answers that fit that.

use std::time::Duration;

use crate::case::forms::{Failure, RowForm, json_of, show_duration, time};
use crate::case::keys::{Keys, Parsed};
use crate::case::value::{cell, cell_written};
use crate::case::{
    Action, Call, CallAnswer, Content, Exchange, Expected, FunctionAnswer, HttpAnswer, RowItem,
    RowsAnswer, RowsEnd, StreamEnd, Target,
};
use wasm_host_capabilities::function::FunctionCall;
use wasm_host_capabilities::postgres::backend::Column;

use super::{body, content, headers};

const KINDS: [&str; 8] =
    ["query", "execute", "begin", "commit", "rollback", "ollama", "http", "function"];

const NO_END: &str = "answer: a database ends with end = \"stall\" or an `error`, such as \
                      { unavailable = \"the connection was lost\" }";

const FOR_DATABASE: &str = "`transaction` is for the database";

/// What calls of all kinds have.
#[derive(Default)]
struct Common {
    transaction: Option<usize>,
    cancelled: bool,
    after: Duration,
    /// Why it is made in no transaction.
    outside: Option<&'static str>,
}

/// A call. The given one is written.
pub(crate) fn call(keys: &mut Keys<'_>, given: Option<Call>) -> Parsed<Call> {
    let (action, mut common) = match given {
        None => (None, Common::default()),
        Some(Call { transaction, action, cancelled, after, .. }) => {
            (Some(action), Common { transaction, cancelled, after, outside: None })
        }
    };
    let kinds = keys.present(&KINDS, action.as_ref().map(kind));
    let [kind] = kinds[..] else {
        return keys.wrong(format!("a call has exactly one of {}", KINDS.join(", ")));
    };
    let action = match kind {
        "query" => query(keys, &mut common, action)?,
        "execute" => execute(keys, &mut common, action)?,
        "begin" | "commit" | "rollback" => transact(keys, &mut common, kind, action)?,
        "function" => function(keys, &mut common, action)?,
        _ => http(keys, &mut common, kind, action)?,
    };
    keys.check("transaction", common.transaction != Some(0), || "they are counted from 1".into())?;
    let Common { transaction, cancelled, after, .. } = common;
    Ok(Call { line: keys.at, transaction, action, cancelled, after })
}

fn kind(action: &Action) -> &'static str {
    match action {
        Action::Query { .. } => "query",
        Action::Execute { .. } => "execute",
        Action::Begin { .. } => "begin",
        Action::Commit { .. } => "commit",
        Action::Rollback { .. } => "rollback",
        Action::Http { exchange: Exchange { to: Target::Ollama, .. }, .. } => "ollama",
        Action::Http { .. } => "http",
        Action::Function { .. } => "function",
    }
}

impl Common {
    /// What follows the question.
    fn answered<A>(
        &mut self,
        keys: &mut Keys<'_>,
        describe: impl FnOnce(&mut Keys<'_>) -> Parsed<A>,
    ) -> Parsed<A> {
        match self.outside {
            None => self.transaction = keys.key("transaction", self.transaction)?,
            Some(_) if keys.present(&["transaction"], None).is_empty() => {}
            Some(why) => return keys.wrong(why),
        }
        keys.field("cancelled", &mut self.cancelled, false)?;
        keys.no_more(&["answer"])?;
        keys.table("answer", "answer.", |keys| {
            keys.time_or("after", &mut self.after, Duration::ZERO)?;
            describe(keys)
        })
    }
}

// === The database ===

fn query(keys: &mut Keys<'_>, common: &mut Common, given: Option<Action>) -> Parsed<Action> {
    let (statement, parameters, answer) = match given {
        Some(Action::Query { statement, parameters, answer }) => {
            (Some(statement), parameters, Some(answer))
        }
        _ => Default::default(),
    };
    let statement = keys.required("query", statement)?;
    let parameters = self::parameters(keys, parameters)?;
    let answer = common.answered(keys, |keys| rows(keys, answer))?;
    Ok(Action::Query { statement, parameters, answer })
}

fn execute(keys: &mut Keys<'_>, common: &mut Common, given: Option<Action>) -> Parsed<Action> {
    let (statement, parameters, answer) = match given {
        Some(Action::Execute { statement, parameters, answer }) => {
            (Some(statement), parameters, Some(answer))
        }
        _ => Default::default(),
    };
    let statement = keys.required("execute", statement)?;
    let parameters = self::parameters(keys, parameters)?;
    let answer = common.answered(keys, |keys| {
        let changed = match &answer {
            Some(CallAnswer::Value(changed)) => Some(*changed),
            _ => None,
        };
        let changed = keys.key("changed", changed)?.unwrap_or_default();
        simple(keys, answer.unwrap_or(CallAnswer::Value(changed)))
    })?;
    Ok(Action::Execute { statement, parameters, answer })
}

fn parameters(keys: &mut Keys<'_>, given: Vec<Expected>) -> Parsed<Vec<Expected>> {
    let given = Some(given).filter(|given| !given.is_empty());
    Ok(keys.key("parameters", given)?.unwrap_or_default())
}

fn transact(
    keys: &mut Keys<'_>,
    common: &mut Common,
    kind: &'static str,
    given: Option<Action>,
) -> Parsed<Action> {
    let (outcome, answer) = match given {
        Some(Action::Begin { outcome, answer }) => (Some(outcome), Some(answer)),
        Some(Action::Commit { answer } | Action::Rollback { answer }) => (None, Some(answer)),
        _ => (None, None),
    };
    if kind == "begin" {
        let outcome = keys.required(kind, outcome)?;
        common.outside = Some("a transaction does not begin within another");
        let answer = common.answered(keys, |keys| done(keys, answer))?;
        return Ok(Action::Begin { outcome, answer });
    }
    if !keys.required(kind, Some(true))? {
        return keys.wrong(format!("it is written {kind} = true"));
    }
    let answer = common.answered(keys, |keys| done(keys, answer))?;
    if common.transaction.is_none() {
        return keys.wrong("`transaction` says which one");
    }
    Ok(if kind == "commit" { Action::Commit { answer } } else { Action::Rollback { answer } })
}

fn done(keys: &mut Keys<'_>, given: Option<CallAnswer<()>>) -> Parsed<CallAnswer<()>> {
    simple(keys, given.unwrap_or(CallAnswer::Value(())))
}

/// How an answer ends whose value has been read. `given`: unless the file says otherwise.
fn simple<T>(keys: &mut Keys<'_>, given: CallAnswer<T>) -> Parsed<CallAnswer<T>> {
    let (value, error, ending) = match given {
        CallAnswer::Value(value) => (Some(value), None, None),
        CallAnswer::Error(error) => (None, Some(Failure(error)), None),
        CallAnswer::Stall => (None, None, Some(StreamEnd::Stall)),
    };
    let error = keys.key("error", error)?;
    let ending = keys.key("end", ending)?;
    keys.no_more(&[])?;
    match (value, error, ending) {
        (_, Some(Failure(error)), None) => Ok(CallAnswer::Error(error)),
        (_, None, Some(StreamEnd::Stall)) => Ok(CallAnswer::Stall),
        (Some(value), None, None | Some(StreamEnd::Whole)) => Ok(CallAnswer::Value(value)),
        _ => keys.wrong(NO_END),
    }
}

fn rows(keys: &mut Keys<'_>, given: Option<RowsAnswer>) -> Parsed<RowsAnswer> {
    let (mut names, mut cells, mut ending) = (None, None, CallAnswer::Value(()));
    match &given {
        None => {}
        Some(RowsAnswer::Refused(error)) => ending = CallAnswer::Error(error.clone()),
        Some(RowsAnswer::Silent) => ending = CallAnswer::Stall,
        Some(RowsAnswer::Rows { columns, rows, end }) => {
            let name = |Column { name, type_name }: &Column| format!("{name} {type_name}");
            names = Some(columns.iter().map(name).collect::<Vec<_>>());
            cells = Some(rows.iter().map(|row| row_form(columns, row)).collect::<Vec<_>>());
            ending = match end {
                RowsEnd::Whole => CallAnswer::Value(()),
                RowsEnd::Error(error) => CallAnswer::Error(error.clone()),
                RowsEnd::Stall => CallAnswer::Stall,
            };
        }
    }
    let names = keys.key("columns", names)?;
    let cells = keys.key("rows", cells)?;
    let ending = simple(keys, ending)?;
    if let Some(given) = given {
        return Ok(given);
    }
    let Some(names) = names else {
        return match ending {
            _ if cells.is_some() => {
                keys.wrong("answer: rows need `columns`, as in [\"id int4\", \"name text\"]")
            }
            CallAnswer::Error(error) => Ok(RowsAnswer::Refused(error)),
            CallAnswer::Stall => Ok(RowsAnswer::Silent),
            CallAnswer::Value(()) => keys.wrong(
                "answer: a query is answered with `columns` and `rows`, an `error`, or \
                 end = \"stall\"",
            ),
        };
    };
    let columns: Result<Vec<_>, _> = names.iter().map(|name| column(name)).collect();
    let columns = columns.or_else(|why| keys.wrong_at("columns", why))?;
    let rows = cells.unwrap_or_default().into_iter().map(|row| row_of(row, &columns));
    let rows = rows.collect::<Result<_, _>>().or_else(|why| keys.wrong_at("rows", why))?;
    let end = match ending {
        CallAnswer::Value(()) => RowsEnd::Whole,
        CallAnswer::Error(error) => RowsEnd::Error(error),
        CallAnswer::Stall => RowsEnd::Stall,
    };
    Ok(RowsAnswer::Rows { columns, rows, end })
}

fn column(text: &str) -> Result<Column, String> {
    let (name, type_name) = text
        .trim()
        .rsplit_once(' ')
        .ok_or_else(|| format!("'{text}' is not \"NAME TYPE\", as in \"id int4\""))?;
    Ok(Column { name: name.trim().to_string(), type_name: type_name.to_string() })
}

fn row_form(columns: &[Column], row: &RowItem) -> RowForm {
    match row {
        RowItem::Pause(time) => RowForm::Pause { after: show_duration(*time) },
        RowItem::Row(values) => {
            let cells = columns.iter().zip(values);
            RowForm::Row(cells.map(|(of, value)| cell_written(&of.type_name, value)).collect())
        }
    }
}

fn row_of(row: RowForm, columns: &[Column]) -> Result<RowItem, String> {
    let values = match row {
        RowForm::Pause { after } => return time("after", &after).map(RowItem::Pause),
        RowForm::Row(values) => values,
    };
    if values.len() != columns.len() {
        let (values, columns) = (values.len(), columns.len());
        return Err(format!("a row of {values} values for {columns} columns"));
    }
    let cells = columns.iter().zip(&values).map(|(column, value)| {
        cell(&column.type_name, value).map_err(|why| format!("column {}: {why}", column.name))
    });
    cells.collect::<Result<_, _>>().map(RowItem::Row)
}

// === HTTP ===

fn http(
    keys: &mut Keys<'_>,
    common: &mut Common,
    kind: &'static str,
    given: Option<Action>,
) -> Parsed<Action> {
    let (given, answer) = match given {
        Some(Action::Http { exchange, answer }) => (Some(exchange), Some(answer)),
        _ => (None, None),
    };
    let line = given.as_ref().map(|asked| format!("{} {}", asked.method, asked.target));
    let line = keys.required(kind, line)?;
    let (heads, sent, mut any_body) = match &given {
        None => (&[][..], None, false),
        Some(asked) => (&asked.headers[..], asked.body.clone(), asked.any_body),
    };
    let headers = headers(keys, heads)?;
    let body = body(keys, sent)?;
    keys.field("any-body", &mut any_body, false)?;
    common.outside = Some(FOR_DATABASE);
    let answer = common.answered(keys, |keys| http_answer(keys, answer))?;
    if let Some(exchange) = given {
        return Ok(Action::Http { exchange, answer });
    }
    let (to, example) = match kind {
        "ollama" => (Target::Ollama, "POST /api/chat"),
        _ => (Target::Service, "GET http://other/path"),
    };
    let valid = line.split_once(' ').filter(|(method, target)| {
        let begins = match to {
            Target::Ollama => target.starts_with('/'),
            Target::Service => target.starts_with("http://") || target.starts_with("https://"),
        };
        begins && method.parse::<http::Method>().is_ok() && target.parse::<http::Uri>().is_ok()
    });
    let Some((method, target)) = valid else {
        return keys.wrong(format!("'{line}' is no request line such as \"{example}\""));
    };
    if any_body && body.is_some() {
        return keys.wrong("either a body or any-body = true");
    }
    let (method, target) = (method.to_string(), target.to_string());
    Ok(Action::Http { exchange: Exchange { to, method, target, headers, body, any_body }, answer })
}

fn http_answer(keys: &mut Keys<'_>, given: Option<HttpAnswer>) -> Parsed<HttpAnswer> {
    let (mut status, mut heads, mut body) = (None, Vec::new(), Content::Empty);
    let (mut ending, mut unreachable, mut lost) = (None, None, None);
    match given {
        None => {}
        Some(HttpAnswer::Unreachable(why)) => unreachable = Some(why),
        Some(HttpAnswer::Lost(how)) => lost = Some(how),
        Some(HttpAnswer::Silent) => ending = Some(StreamEnd::Stall),
        Some(HttpAnswer::Response { status: code, headers, content, end }) => {
            (status, body) = (Some(code), content);
            heads = headers;
            ending = Some(end).filter(|end| *end != StreamEnd::Whole);
        }
    }
    let status = keys.key("status", status)?;
    let headers = headers(keys, &heads)?;
    let content = content(keys, body)?;
    let ending = keys.key("end", ending)?.unwrap_or_default();
    let (unreachable, lost) = (keys.key("unreachable", unreachable)?, keys.key("lost", lost)?);
    keys.no_more(&[])?;
    let has_head = status.is_some() || !headers.is_empty();
    let empty = matches!(content, Content::Empty);
    match (unreachable, lost) {
        (None, None) if ending == StreamEnd::Stall && !has_head && empty => Ok(HttpAnswer::Silent),
        (None, None) => {
            let status = status.unwrap_or(200);
            let is_one = http::StatusCode::from_u16(status).is_ok();
            keys.check("status", is_one, || format!("{status} is none"))?;
            Ok(HttpAnswer::Response { status, headers, content, end: ending })
        }
        (Some(why), None) if !has_head && empty => Ok(HttpAnswer::Unreachable(why)),
        (None, Some(how)) if !has_head && empty => Ok(HttpAnswer::Lost(how)),
        _ => keys.wrong("answer: one of a response, `unreachable` and `lost`"),
    }
}

// === Functions ===

fn function(keys: &mut Keys<'_>, common: &mut Common, given: Option<Action>) -> Parsed<Action> {
    let (name, arguments, answer) = match given {
        Some(Action::Function { call: FunctionCall { function, arguments }, answer }) => {
            let arguments = Some(arguments).filter(|arguments| !arguments.is_empty());
            (Some(function), arguments, Some(answer))
        }
        _ => (None, None, None),
    };
    let function: String = keys.required("function", name)?;
    let arguments = json(keys, "json", arguments.map(Into::into))?;
    common.outside = Some(FOR_DATABASE);
    let answer = common.answered(keys, |keys| given_by_function(keys, answer))?;
    let named =
        function.split_once('.').is_some_and(|(of, name)| !of.is_empty() && !name.is_empty());
    keys.check("function", named, || {
        format!("'{function}' is not CAPABILITY.FUNCTION, as in \"keyvalue.get\"")
    })?;
    let arguments = match arguments {
        None => serde_json::Map::new(),
        Some(serde_json::Value::Object(arguments)) => arguments,
        Some(_) => {
            let example = "a function's arguments are by name, as in { key = \"a\" }";
            return keys.wrong_at("json", example);
        }
    };
    Ok(Action::Function { call: FunctionCall { function, arguments }, answer })
}

fn given_by_function(keys: &mut Keys<'_>, given: Option<FunctionAnswer>) -> Parsed<FunctionAnswer> {
    let (mut value, mut failure, mut unreachable, mut ending) = (None, None, None, None);
    match given {
        None | Some(FunctionAnswer::Value(serde_json::Value::Null)) => {}
        Some(FunctionAnswer::Value(given)) => value = Some(given),
        Some(FunctionAnswer::Error(given)) => failure = Some(given),
        Some(FunctionAnswer::Unreachable(why)) => unreachable = Some(why),
        Some(FunctionAnswer::Stall) => ending = Some(StreamEnd::Stall),
    }
    let (value, failure) = (json(keys, "json", value)?, json(keys, "failure", failure)?);
    let unreachable = keys.key("unreachable", unreachable)?;
    let ending = keys.key("end", ending)?;
    keys.no_more(&[])?;
    match (value, failure, unreachable, ending) {
        (None, None, None, None) => Ok(FunctionAnswer::Value(serde_json::Value::Null)),
        (Some(value), None, None, None) => Ok(FunctionAnswer::Value(value)),
        (None, Some(error), None, None) => Ok(FunctionAnswer::Error(error)),
        (None, None, Some(why), None) => Ok(FunctionAnswer::Unreachable(why)),
        (None, None, None, Some(StreamEnd::Stall)) => Ok(FunctionAnswer::Stall),
        _ => keys.wrong("answer: one of `json`, `failure`, `unreachable` and end = \"stall\""),
    }
}

fn json(
    keys: &mut Keys<'_>,
    name: &'static str,
    given: Option<serde_json::Value>,
) -> Parsed<Option<serde_json::Value>> {
    keys.form(name, given.map(|given| given.to_string().into()), json_of)
}
