//! The second of two good versions.

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "two";
const FAULT: Fault = Fault::None;

service!(answers::serve);
