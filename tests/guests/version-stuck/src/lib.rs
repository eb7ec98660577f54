//! A version that never comes to the end of its instantiation.
#![expect(unsafe_code, reason = "the name of what runs at instantiation")]

#[path = "../../version-one/src/answers.rs"]
mod answers;

use answers::Fault;
use wasm_host_guest::service;

const VERSION: &str = "stuck";
const FAULT: Fault = Fault::None;

service!(answers::serve);

/// Called while an instance is made.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}
