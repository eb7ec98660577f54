//! Where log lines go and what they look like.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, for example `debug` or `info,wasm_host::service=debug`.
pub const LOG_VARIABLE: &str = "WASM_HOST_LOG";

/// Log to standard error, `info` and above unless the environment says otherwise.
pub fn start() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .init();
}
