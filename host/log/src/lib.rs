//! Where log lines go and what they look like.
//!
//! Nothing waits for the program that reads the log: lines go to a bounded buffer, from which a thread of their own
//! writes them. What does not fit is dropped and counted. `tracing-appender` bounds such a buffer by
//! lines, which may be a hundred bytes or eight thousand, and does not say what it dropped.

mod alike;
mod buffer;
mod fields;
mod notices;
mod patience;
mod records;

use std::io::{self, IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::alike::Alike;
use crate::buffer::Buffer;
use crate::fields::Fields;
use crate::notices::Notices;
pub use patience::{tell_if_long, tell_if_long_async};
use records::Records;
pub use records::collect;
use wasm_host_limits as limits;

/// The variable that says what is logged, for example `debug` or `info,wasm_host_service=debug`.
pub const LOG_VARIABLE: &str = "WASM_HOST_LOG";

/// What a database says to init scripts, which have a bound of their own.
pub const SCRIPT: &str = "script";

/// What speaks only when it is named: the insides of the compiler and of libraries, tens of thousands of lines for
/// one start, and what guests make the database say.
const QUIET: &str = "cranelift_codegen=info,cranelift_frontend=info,regalloc2=info,wasmtime=info,\
    wasmtime_environ=info,wasmtime_internal_cranelift=info,wasmtime_wasi=info,object=info,mio=info,\
    sqlx::postgres::notice=warn";

/// The process has one log, as it has one standard error.
static BUFFER: Buffer = Buffer::new(limits::LOG_BUFFER_BYTES);
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// What lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// Each an object, for programs.
    Json,
}

/// Whether lines are objects. What else is written to standard error is to be so, too.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// A line that is no part of the log but stands among its lines, as an object.
pub fn object(level: &str, message: &str, more: serde_json::Value) -> String {
    let mut line = serde_json::json!({
        "time": format!("{:.6}", jiff::Timestamp::now()), "level": level, "message": message, "source": "host",
    });
    if let (Some(line), serde_json::Value::Object(more)) = (line.as_object_mut(), more) {
        line.extend(more);
    }
    format!("{line}\n")
}

/// Log to standard error, `info` and above unless the environment says otherwise.
pub fn start(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    let asked = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "info".to_string());
    let filter = EnvFilter::new(format!("{QUIET},{asked}"));
    let log = registry().with(filter).with(Notices).with(Alike);
    let writer =
        std::thread::Builder::new().name("log".to_string()).spawn(|| BUFFER.write_all_to(stderr()));
    // A machine without a thread to spare: rather slow than silent.
    let write: fn(&[u8]) = match writer {
        Ok(_) => |line| drop((&BUFFER).write_all(line)),
        Err(_) => |line| drop(stderr().write_all(line)),
    };
    let json = (format == LogFormat::Json).then_some(write);
    let text = (format == LogFormat::Text).then(|| {
        let lines = fmt::layer().with_ansi(stderr().is_terminal()).with_target(false);
        lines.fmt_fields(Fields).with_writer(move || Lines(write))
    });
    log.with(text).with(Records { json }).init();
}

/// Where whole lines are written.
struct Lines(fn(&[u8]));

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (self.0)(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Wait until what was logged is written, unless no program reads it. Before the process ends, and before
/// something is written past the log.
pub fn flush() {
    alike::tell();
    BUFFER.flush(limits::LOG_FLUSH);
}
