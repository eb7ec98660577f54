//! A version that traps on one request of five.

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "flaky";
const FAULT: Fault = Fault::TrapsSometimes;

service!(answers::serve);
