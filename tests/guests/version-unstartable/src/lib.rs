//! A version that traps while it is instantiated.
#![expect(unsafe_code, reason = "the name of what runs at instantiation")]

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "unstartable";
const FAULT: Fault = Fault::None;

service!(answers::serve);

/// Called while an instance is made.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    std::process::abort()
}
