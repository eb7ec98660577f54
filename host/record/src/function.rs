//! Functions that are written down when they are called, of every capability whose calls have no form of their own.

use futures_util::future::BoxFuture;

use super::session;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::function::{FunctionCall, Given, NoAnswer, Seam, size, sizes};
use wasm_host_testkit::case::{Action, FunctionAnswer};

pub(super) struct RecordedFunctions;

impl Seam for RecordedFunctions {
    fn is_watching(&self, request: &RequestContext) -> bool {
        session(request).is_some()
    }

    fn call<'a>(
        &'a self,
        call: FunctionCall,
        request: RequestContext,
        backend: Option<BoxFuture<'a, Given>>,
    ) -> BoxFuture<'a, Result<Given, NoAnswer>> {
        let open = session(&request).map(|session| {
            let bytes = call.function.len() + sizes(&call.arguments);
            session.open(None, Action::Function { call, answer: FunctionAnswer::Stall }, bytes)
        });
        Box::pin(async move {
            let none = || NoAnswer::Unreachable("there is no backend".to_string());
            let given = backend.ok_or_else(none)?.await;
            // An error of a request that has ended is no answer: the call was given up.
            if let Some(mut open) = open
                && (given.is_ok() || !request.cancel().is_cancelled())
            {
                open.answered();
                let (Ok(value) | Err(value)) = &given;
                let bytes = size(value);
                let answer = match &given {
                    Ok(value) => FunctionAnswer::Value(value.clone()),
                    Err(error) => FunctionAnswer::Error(error.clone()),
                };
                open.learn(bytes, |action| {
                    if let Action::Function { answer: seen, .. } = action {
                        *seen = answer;
                    }
                });
                open.ends();
            }
            Ok(given)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, json};

    use super::*;
    use crate::session::tests::session;
    use wasm_host_capabilities::context::Inbound;
    use wasm_host_telemetry::trace::Trace;

    fn asked(argument: &str) -> FunctionCall {
        let arguments = Map::from_iter([("key".to_string(), json!(argument))]);
        FunctionCall { function: "keyvalue.get".to_string(), arguments }
    }

    #[tokio::test]
    async fn what_functions_give_is_written_down() {
        let (_folder, session) = session();
        let mut inbound = Inbound::new(Trace::off(), 0);
        inbound.attach(Arc::clone(&session));
        let request = inbound.unserved();
        assert!(RecordedFunctions.is_watching(&request));
        assert!(!RecordedFunctions.is_watching(&RequestContext::of_host("another")));
        for (argument, given) in [("a", Ok(json!([1]))), ("b", Err(json!("no-such-store")))] {
            let backend = Box::pin(std::future::ready(given.clone()));
            let call = RecordedFunctions.call(asked(argument), request.clone(), Some(backend));
            assert_eq!(call.await.unwrap(), given);
        }
        let never = Box::pin(std::future::pending());
        drop(RecordedFunctions.call(asked("c"), request, Some(never)));
        let case = session.take().unwrap().case;
        let text = case.to_toml();
        for written in [
            "function = \"keyvalue.get\"\njson = '{\"key\":\"a\"}'\nanswer.json = \"[1]\"\n",
            "json = '{\"key\":\"b\"}'\nanswer.failure = '\"no-such-store\"'\n",
            "json = '{\"key\":\"c\"}'\ncancelled = true\nanswer.end = \"stall\"\n",
        ] {
            assert!(text.contains(written), "{written} is not in\n{text}");
        }
    }
}
