//! Functions that know a script, of every capability whose calls have no form of their own.

use std::future::pending;

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use crate::case::{Action, FunctionAnswer};
use crate::script::{Given, Question, Script};
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::function::{self, FunctionCall, NoAnswer, Seam};
use wasm_host_capabilities::until::until_ended;

/// What a component is told of a call that nothing is scripted for.
pub(crate) const UNSCRIPTED: &str = "the case has no answer to this call";

pub(crate) struct FakeFunctions(pub(crate) Script);

impl Seam for FakeFunctions {
    fn is_watching(&self, _: &RequestContext) -> bool {
        true
    }

    fn call<'a>(
        &'a self,
        call: FunctionCall,
        request: RequestContext,
        _: Option<BoxFuture<'a, function::Given>>,
    ) -> BoxFuture<'a, Result<function::Given, NoAnswer>> {
        Box::pin(async move { until_ended(&request, NoAnswer::Ended, answer(&self.0, call)).await })
    }
}

async fn answer(script: &Script, call: FunctionCall) -> Result<function::Given, NoAnswer> {
    let unscripted = || NoAnswer::Unreachable(UNSCRIPTED.to_string());
    let Given { action, after, ticket } =
        script.ask(None, Question::Function(call)).ok_or_else(unscripted)?;
    let Action::Function { answer, .. } = action else { return Err(unscripted()) };
    sleep(after).await;
    let given = match answer {
        FunctionAnswer::Unreachable(why) => {
            ticket.finish();
            return Err(NoAnswer::Unreachable(why));
        }
        FunctionAnswer::Value(value) => Ok(value),
        FunctionAnswer::Error(error) => Err(error),
        FunctionAnswer::Stall => pending().await,
    };
    ticket.finish();
    Ok(given)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use serde_json::{Value as Json, json};
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::bless::call_of;
    use crate::case::Case;

    const CALLS: &str = r#"
request.path = "/"
[[call]]
function = "keyvalue.get"
json = { bucket = "bucket", key = "key" }
answer.after = "2s"
answer.json = '{"bytes":[1]}'
[[call]]
function = "keyvalue.get"
json = { bucket = "bucket", key = "other" }
answer.failure = '"no-such-store"'
[[call]]
function = "keyvalue.delete"
json = { bucket = "bucket", key = "key" }
[[call]]
function = "keyvalue.count"
json = { weight = 1 }
answer.unreachable = "connection refused"
[[call]]
function = "keyvalue.list"
answer.end = "stall"
"#;

    fn script() -> Script {
        let case = Case::parse(CALLS, Path::new("a.toml")).unwrap();
        Script::new(case.matching, case.calls)
    }

    fn asked(function: &str, arguments: Json) -> FunctionCall {
        let Json::Object(arguments) = arguments else { panic!("{arguments}") };
        FunctionCall { function: format!("keyvalue.{function}"), arguments }
    }

    fn key(key: &str) -> Json {
        json!({ "bucket": "bucket", "key": key })
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_answered_as_the_case_says() {
        let script = script();
        let fake = FakeFunctions(script.clone());
        let ask = |call| fake.call(call, RequestContext::of_host("test"), None);
        let began = Instant::now();
        let value = ask(asked("get", key("key"))).await.unwrap();
        assert_eq!((value, began.elapsed()), (Ok(json!({ "bytes": [1] })), Duration::from_secs(2)));
        let error = ask(asked("get", key("other"))).await.unwrap();
        assert_eq!(error, Err(json!("no-such-store")));
        let nothing = ask(asked("delete", key("key"))).await.unwrap();
        assert_eq!(nothing, Ok(Json::Null));
        // By value: 1.0 is 1.
        let refused = ask(asked("count", json!({ "weight": 1.0 }))).await.unwrap_err();
        assert_eq!(refused, NoAnswer::Unreachable("connection refused".to_string()));
        let silent = timeout(Duration::from_secs(600), ask(asked("list", json!({})))).await;
        assert!(silent.is_err());
        let unscripted = ask(asked("get", key("key"))).await.unwrap_err();
        assert_eq!(unscripted, NoAnswer::Unreachable(UNSCRIPTED.to_string()));
        let cancelled: Vec<bool> = script.close().iter().map(|seen| seen.cancelled).collect();
        assert_eq!(cancelled, [false, false, false, false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_with_its_request() {
        let request = RequestContext::of_host("test");
        request.cancel().cancel();
        let fake = FakeFunctions(script());
        let ended = fake.call(asked("get", key("key")), request, None).await.unwrap_err();
        assert_eq!(ended, NoAnswer::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_otherwise_is_told_and_can_be_written_down() {
        let script = script();
        let fake = FakeFunctions(script.clone());
        // It goes on with the answer to the nearest call.
        let other = asked("get", key("changed"));
        let given = fake.call(other.clone(), RequestContext::of_host("test"), None).await.unwrap();
        assert_eq!(given, Ok(json!({ "bytes": [1] })));
        let seen = script.close();
        let written = call_of(&seen[0], None);
        let Action::Function { call, answer } = written.action else { panic!("{written:?}") };
        assert_eq!(call, other);
        assert!(matches!(answer, FunctionAnswer::Unreachable(why) if why == UNSCRIPTED));
    }

    #[test]
    fn arguments_are_compared_by_value() {
        let scripted = r#"{"weight":1,"sizes":[2.0,{"deep":3}],"name":"a"}"#;
        let scripted = asked("put", serde_json::from_str(scripted).unwrap());
        let action = Action::Function { call: scripted, answer: FunctionAnswer::Stall };
        let is_answered = |text: &str| {
            let call = asked("put", serde_json::from_str(text).unwrap());
            Question::Function(call).is_answered_by(&action)
        };
        assert!(is_answered(r#"{"name":"a","sizes":[2,{"deep":3.0}],"weight":1.0}"#));
        for other in [
            r#"{"name":"a","sizes":[2,{"deep":3}],"weight":1.5}"#,
            r#"{"name":"a","sizes":[2],"weight":1}"#,
            r#"{"name":"a","sizes":[2,{"deep":3}],"weight":1,"more":null}"#,
            r#"{"name":"a","sizes":[2,{"other":3}],"weight":1}"#,
            r#"{"name":"b","sizes":[2,{"deep":3}],"weight":1}"#,
        ] {
            assert!(!is_answered(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_function_call_is_told() {
        for (call, told) in [
            ("function = \"get\"", "is not CAPABILITY.FUNCTION"),
            ("function = \"a.b\"\njson = [1]", "arguments are by name"),
            ("function = \"a.b\"\ntransaction = 1", "`transaction` is for the database"),
            ("function = \"a.b\"\nanswer.status = 200", "unknown field `answer.status`"),
            ("function = \"a.b\"\nanswer.json = '1'\nanswer.failure = '2'", "one of `json`"),
            (
                "query = \"a\"\nanswer.failure = '1'\nanswer.columns = []",
                "unknown field `answer.failure`",
            ),
        ] {
            let text = format!("request.path = \"/\"\n[[call]]\n{call}\n");
            let wrong = Case::parse(&text, Path::new("a.toml")).unwrap_err();
            assert!(wrong.message.contains(told), "{call}: {}", wrong.message);
        }
    }
}
