//! Calls of a capability's functions in the form that a case has for all of them: so that a script can answer them, and
//! a recorder write them down, without knowing the capability.
//!
//! A capability joins in with one adapter of its backend trait, whose functions all end in [`call`], and names it in
//! [`Capability::with_seam`](crate::Capability::with_seam).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::budget::hold_for_call;
use crate::context::RequestContext;

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// `CAPABILITY.FUNCTION`, such as `keyvalue.get`.
    pub function: String,
    /// By the names of the parameters, which also say what is a secret.
    pub arguments: Map<String, Json>,
}

/// What a function gives: its value, or its error.
pub type Given = Result<Json, Json>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing answers it. Says why.
    #[error("{0}")]
    Unreachable(String),
    /// Its request has ended.
    #[error("its request has ended")]
    Ended,
}

/// What stands in front of a backend, or in its place.
pub trait Seam: Send + Sync {
    /// Whether it wants to see this request's calls. Where there is a backend, calls that it does not want to see pass it by.
    fn is_watching(&self, request: &RequestContext) -> bool;

    /// Answer a call. `backend` is what answers it otherwise; none where there is no backend.
    ///
    /// # Errors
    /// Nothing answers it.
    fn call<'a>(
        &'a self,
        call: FunctionCall,
        request: RequestContext,
        backend: Option<BoxFuture<'a, Given>>,
    ) -> BoxFuture<'a, Result<Given, NoAnswer>>;
}

/// Call a function through a seam. What a backend gives comes back as it is.
///
/// # Errors
/// The function's own, or what `unanswered` makes of a call that nothing answers.
pub async fn call<V, E>(
    seam: &Arc<dyn Seam>,
    call: impl FnOnce() -> FunctionCall,
    request: RequestContext,
    backend: Option<impl Future<Output = Result<V, E>> + Send>,
    unanswered: impl FnOnce(NoAnswer) -> E,
) -> Result<V, E>
where
    V: Serialize + DeserializeOwned + Send,
    E: Serialize + DeserializeOwned + Send,
{
    let (mut result, mut full) = (None, None);
    let called = match backend {
        None => seam.call(call(), request, None).await,
        Some(backend) if !seam.is_watching(&request) => return backend.await,
        Some(backend) => {
            let (kept, full) = (&mut result, &mut full);
            let backend = async move {
                let result = kept.insert(backend.await);
                let given = result.as_ref().map(json).map_err(json);
                // It is beside what the guest is given.
                let (Ok(value) | Err(value)) = &given;
                *full = hold_for_call(size(value)).err();
                given
            };
            seam.call(call(), request, Some(Box::pin(backend))).await
        }
    };
    if let Some(full) = full {
        return Err(unanswered(NoAnswer::Unreachable(full.to_string())));
    }
    if let Some(result) = result {
        return result;
    }
    let scripted = match called {
        Ok(Ok(value)) => serde_json::from_value(value).map(Ok),
        Ok(Err(error)) => serde_json::from_value(error).map(Err),
        Err(none) => return Err(unanswered(none)),
    };
    scripted.unwrap_or_else(|wrong| {
        let why = format!("what is scripted is not what the function gives: {wrong}");
        Err(unanswered(NoAnswer::Unreachable(why)))
    })
}

/// Bytes of memory that a value takes, about.
pub fn size(value: &Json) -> usize {
    let content = match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(values) => values.iter().map(size).sum(),
        Json::Object(members) => sizes(members),
    };
    size_of::<Json>() + content
}

/// The same of all members of an object.
pub fn sizes(members: &Map<String, Json>) -> usize {
    members.iter().map(|(name, value)| size_of::<String>() + name.len() + size(value)).sum()
}

/// A value as JSON. For one that cannot be JSON, the reason stands in its place; no capability has such values.
fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_else(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use serde_json::json;

    use super::*;

    /// Answers in place of a backend, and notes what a backend gave.
    #[derive(Default)]
    struct Noting {
        is_blind: bool,
        scripted: Option<Given>,
        given: Mutex<Vec<(FunctionCall, Given)>>,
    }

    impl Seam for Noting {
        fn is_watching(&self, _: &RequestContext) -> bool {
            !self.is_blind
        }

        fn call<'a>(
            &'a self,
            call: FunctionCall,
            _: RequestContext,
            backend: Option<BoxFuture<'a, Given>>,
        ) -> BoxFuture<'a, Result<Given, NoAnswer>> {
            Box::pin(async move {
                let Some(backend) = backend else {
                    let none = || NoAnswer::Unreachable("no answer".to_string());
                    return self.scripted.clone().ok_or_else(none);
                };
                let given = backend.await;
                self.given.lock().push((call, given.clone()));
                Ok(given)
            })
        }
    }

    fn asked() -> FunctionCall {
        let arguments = Map::from_iter([("number".to_string(), json!(2))]);
        FunctionCall { function: "counter.add".to_string(), arguments }
    }

    async fn add(
        seam: Noting,
        backend: Option<Result<u8, String>>,
    ) -> (Result<u8, String>, Vec<(FunctionCall, Given)>) {
        let seam = Arc::new(seam);
        let dynamic: Arc<dyn Seam> = seam.clone();
        let backend = backend.map(std::future::ready);
        let request = RequestContext::of_host("add");
        let result = call(&dynamic, asked, request, backend, |none| none.to_string()).await;
        (result, std::mem::take(&mut *seam.given.lock()))
    }

    #[tokio::test]
    async fn what_a_backend_gives_is_seen_and_comes_back() {
        for (given, seen) in [(Ok(5), Ok(json!(5))), (Err("full".to_string()), Err(json!("full")))]
        {
            let (result, noted) = add(Noting::default(), Some(given.clone())).await;
            assert_eq!(result, given);
            assert_eq!(noted, [(asked(), seen)]);
        }
        let (result, noted) =
            add(Noting { is_blind: true, ..Noting::default() }, Some(Ok(5))).await;
        assert_eq!((result, noted), (Ok(5), Vec::new()));
    }

    #[tokio::test]
    async fn what_is_scripted_comes_in_place_of_a_backend() {
        for (scripted, expected) in [
            (Some(Ok(json!(7))), Ok(7)),
            (Some(Err(json!("full"))), Err("full".to_string())),
            (None, Err("no answer".to_string())),
        ] {
            let (result, _) = add(Noting { scripted, ..Noting::default() }, None).await;
            assert_eq!(result, expected);
        }
        let wrong = Noting { scripted: Some(Ok(json!("seven"))), ..Noting::default() };
        let (result, _) = add(wrong, None).await;
        assert!(result.unwrap_err().contains("is not what the function gives"));
    }

    #[test]
    fn bytes_count_as_what_they_take_as_numbers() {
        assert!(size(&json!(vec![255_u8; 1000])) >= 1000 * size_of::<Json>());
    }
}
