//! What a function of a capability is asked and gives, as a test in Rust writes it.

use std::time::Duration;

use serde_json::Value as Json;

use super::call;
use crate::case::{Action, Call, FunctionAnswer};
use wasm_host_capabilities::function::FunctionCall;

/// A call of a function, with what it gives. Without more, that is nothing, at once.
#[derive(Clone, Debug)]
pub struct Function {
    asked: FunctionCall,
    answer: FunctionAnswer,
    after: Duration,
    cancelled: bool,
}

impl Function {
    /// `CAPABILITY.FUNCTION`, such as `keyvalue.get`, with its arguments by the names of the parameters.
    pub fn of<'a>(function: &str, arguments: impl IntoIterator<Item = (&'a str, Json)>) -> Self {
        let named = |(name, argument): (&str, Json)| (name.to_string(), argument);
        let arguments = arguments.into_iter().map(named).collect();
        Self {
            asked: FunctionCall { function: function.to_string(), arguments },
            answer: FunctionAnswer::Value(Json::Null),
            after: Duration::ZERO,
            cancelled: false,
        }
    }

    /// What it gives.
    pub fn gives(mut self, value: Json) -> Self {
        self.answer = FunctionAnswer::Value(value);
        self
    }

    /// The error that it gives.
    pub fn fails(mut self, error: Json) -> Self {
        self.answer = FunctionAnswer::Error(error);
        self
    }

    /// Nothing answers it.
    pub fn unreachable(mut self, why: &str) -> Self {
        self.answer = FunctionAnswer::Unreachable(why.to_string());
        self
    }

    /// No answer ever comes.
    pub fn silent(mut self) -> Self {
        self.answer = FunctionAnswer::Stall;
        self
    }

    /// Virtual time before the answer.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// The component gives it up.
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    pub(super) fn call(self) -> Call {
        let action = Action::Function { call: self.asked, answer: self.answer };
        Call { cancelled: self.cancelled, after: self.after, ..call(action) }
    }
}
