//! A version that traps while it is instantiated.
#![expect(unsafe_code, reason = "only a constructor runs at instantiation")]

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::{Answers, Fault};
use wasm_host_guest::service;

const VERSION: &str = "unstartable";
const FAULT: Fault = Fault::None;

service!(Answers);

/// Called while an instance is made.
extern "C" fn at_instantiation() {
    std::process::abort()
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = at_instantiation;
