//! What commands answer with, on standard output.

use std::io::{ErrorKind, Write as _};

/// Write it. The program that reads, such as `head`, may have seen enough, which is no error.
pub fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("wasm-host: error: cannot write to standard output: {error}");
        }
        _ => {}
    }
}
