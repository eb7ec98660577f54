//! A version that traps on every request.

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "trapping";
const FAULT: Fault = Fault::TrapsAlways;

service!(answers::serve);
