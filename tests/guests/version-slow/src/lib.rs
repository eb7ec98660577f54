//! A version that takes four seconds to start, without computing.
#![expect(unsafe_code, reason = "the name of what runs at instantiation")]

#[path = "../../version-one/src/answers.rs"]
mod answers;

use std::time::Duration;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "slow";
const FAULT: Fault = Fault::None;

service!(answers::serve);

/// Called while an instance is made.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    std::thread::sleep(Duration::from_secs(4));
}
