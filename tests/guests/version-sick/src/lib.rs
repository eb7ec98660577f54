//! A version whose health path fails.

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "sick";
const FAULT: Fault = Fault::Sick;

service!(answers::serve);
