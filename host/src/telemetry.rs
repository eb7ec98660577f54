//! Where log lines go and what they look like.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged, for example `debug` or `info,wasm_host::service=debug`.
pub const LOG_VARIABLE: &str = "WASM_HOST_LOG";

/// What speaks only when it is named: the insides of the compiler and of libraries, tens of thousands of lines for
/// one start, and what guests make the database say.
const QUIET: &str = "cranelift_codegen=info,cranelift_frontend=info,regalloc2=info,wasmtime=info,\
    wasmtime_environ=info,wasmtime_internal_cranelift=info,wasmtime_wasi=info,object=info,mio=info,\
    sqlx::postgres::notice=warn";

/// Log to standard error, `info` and above unless the environment says otherwise.
pub fn start() {
    let asked = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "info".to_string());
    let filter = EnvFilter::new(format!("{QUIET},{asked}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .init();
}
