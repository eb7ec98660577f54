//! The first of two good versions.

mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "one";
const FAULT: Fault = Fault::None;

service!(answers::serve);
