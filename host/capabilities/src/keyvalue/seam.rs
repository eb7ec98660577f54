//! A bucket behind a seam: its calls as a case has them, `keyvalue.get` and so on, with the bucket's name among their
//! arguments.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::backend::{Bucket, Error, Page, Reply, Value};
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use crate::function::{FunctionCall, NoAnswer, Seam, call, sizes};

pub(super) struct SeamBucket {
    name: String,
    seam: Arc<dyn Seam>,
    bucket: Option<Arc<dyn Bucket>>,
}

impl SeamBucket {
    pub(super) fn new(name: &str, seam: Arc<dyn Seam>, bucket: Option<Arc<dyn Bucket>>) -> Self {
        Self { name: name.to_owned(), seam, bucket }
    }

    /// The call of a function with these arguments, which are an object.
    fn asked(&self, function: &str, arguments: Json) -> FunctionCall {
        let mut all = Map::from_iter([("bucket".to_owned(), self.name.clone().into())]);
        if let Json::Object(arguments) = arguments {
            all.extend(arguments);
        }
        FunctionCall { function: format!("keyvalue.{function}"), arguments: all }
    }
}

fn unanswered(why: NoAnswer) -> Error {
    match why {
        NoAnswer::Ended => Error::Cancelled,
        NoAnswer::Unreachable(why) => Error::Unavailable(why),
    }
}

/// The arguments of a call as JSON are made only where they are wanted, and count for the service that calls.
macro_rules! through {
    ($self:ident, $function:literal, $request:ident, { $($name:ident),* }, $method:ident($($argument:expr),*)) => {
        match &$self.bucket {
            Some(bucket) if !$self.seam.is_watching(&$request) => {
                bucket.$method($($argument,)* $request)
            }
            bucket => Box::pin(async move {
                let asked = $self.asked($function, json!({ $(stringify!($name): $name),* }));
                hold_for_call(sizes(&asked.arguments)).map_err(|full| Error::Busy(full.to_string()))?;
                let backend =
                    bucket.as_ref().map(|bucket| bucket.$method($($argument,)* $request.clone()));
                call(&$self.seam, move || asked, $request, backend, unanswered).await
            }),
        }
    };
}

impl Bucket for SeamBucket {
    fn get(&self, key: String, request: RequestContext) -> Reply<'_, Option<Value>> {
        through!(self, "get", request, { key }, get(key))
    }

    fn set(&self, key: String, value: Value, request: RequestContext) -> Reply<'_, ()> {
        through!(self, "set", request, { key, value }, set(key, value))
    }

    fn delete(&self, key: String, request: RequestContext) -> Reply<'_, ()> {
        through!(self, "delete", request, { key }, delete(key))
    }

    fn exists(&self, key: String, request: RequestContext) -> Reply<'_, bool> {
        through!(self, "exists", request, { key }, exists(key))
    }

    fn list_keys(&self, cursor: Option<u64>, request: RequestContext) -> Reply<'_, Page> {
        through!(self, "list-keys", request, { cursor }, list_keys(cursor))
    }

    fn increment(&self, key: String, delta: i64, request: RequestContext) -> Reply<'_, i64> {
        through!(self, "increment", request, { key, delta }, increment(key, delta))
    }

    fn swap(
        &self,
        key: String,
        expected: Option<Value>,
        value: Value,
        request: RequestContext,
    ) -> Reply<'_, bool> {
        through!(self, "swap", request, { key, expected, value }, swap(key, expected, value))
    }

    fn get_many(
        &self,
        keys: Vec<String>,
        request: RequestContext,
    ) -> Reply<'_, Vec<Option<Value>>> {
        through!(self, "get-many", request, { keys }, get_many(keys))
    }

    fn set_many(&self, entries: Vec<(String, Value)>, request: RequestContext) -> Reply<'_, ()> {
        through!(self, "set-many", request, { entries }, set_many(entries))
    }

    fn delete_many(&self, keys: Vec<String>, request: RequestContext) -> Reply<'_, ()> {
        through!(self, "delete-many", request, { keys }, delete_many(keys))
    }
}
