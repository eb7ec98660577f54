//! Functions that are written down when they are called, of every capability whose calls have no form of their own.

use futures_util::future::BoxFuture;

use super::session;
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::function::{FunctionCall, Given, NoAnswer, Seam};
use wasm_host_testkit::case::{Action, FunctionAnswer};

pub(super) struct RecordedFunctions;

impl Seam for RecordedFunctions {
    fn call<'a>(
        &'a self,
        call: FunctionCall,
        request: RequestContext,
        backend: Option<BoxFuture<'a, Given>>,
    ) -> BoxFuture<'a, Result<Given, NoAnswer>> {
        let size = size(&call);
        let open = session(&request).map(|session| {
            session.open(None, Action::Function { call, answer: FunctionAnswer::Stall }, size)
        });
        Box::pin(async move {
            let backend = backend.ok_or_else(|| NoAnswer("there is no backend".to_string()))?;
            let given = backend.await;
            // Given up: there is no answer to record.
            if let Some(mut open) = open
                && !request.cancel().is_cancelled()
            {
                open.answered();
                let (answer, size) = match &given {
                    Ok(value) => (FunctionAnswer::Value(value.clone()), value.to_string().len()),
                    Err(error) => (FunctionAnswer::Error(error.clone()), error.to_string().len()),
                };
                open.learn(size, |action| {
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

/// Bytes, about.
fn size(call: &FunctionCall) -> usize {
    call.function.len() + call.arguments.iter().map(|one| one.to_string().len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::session::tests::session;
    use wasm_host_capabilities::context::Inbound;

    fn asked(argument: &str) -> FunctionCall {
        let arguments = vec![json!(argument)];
        FunctionCall { function: "keyvalue.get".to_string(), arguments }
    }

    #[tokio::test]
    async fn what_functions_give_is_written_down() {
        let (_folder, session) = session();
        let mut inbound = Inbound::default();
        inbound.attach(Arc::clone(&session));
        let request = inbound.unserved();
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
            "function = \"keyvalue.get\"\njson = '[\"a\"]'\nanswer.json = \"[1]\"\n",
            "json = '[\"b\"]'\nanswer.failure = '\"no-such-store\"'\n",
            "json = '[\"c\"]'\ncancelled = true\nanswer.end = \"stall\"\n",
        ] {
            assert!(text.contains(written), "{written} is not in\n{text}");
        }
    }
}
