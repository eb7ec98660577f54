//! What a line of the log says: its message and its fields.
//!
//! Every text that reaches the log passes here, wherever it comes from: guests, clients, backends, file systems. So
//! this is where it is bounded, and where what is not seen is written out.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::records::UNTOLD;
use wasm_host_limits as limits;
use wasm_host_system::printable::Printable;

/// How the log writes fields.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    written: fmt::Result,
}

impl Line<'_> {
    fn write(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        match (name, self.writer.has_ansi_escapes()) {
            ("message", _) => {}
            // Slanted, and its sign dim.
            (_, true) => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
            (_, false) => write!(self.writer, "{name}=")?,
        }
        write!(Printable::new(&mut self.writer, limits::LOG_LINE_BYTES), "{value:?}")
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Those in which records of the `log` crate hold where they come from.
        let is_untold = field.name().starts_with("log.") || UNTOLD.contains(&field.name());
        if self.written.is_ok() && !is_untold {
            self.written = self.write(field.name(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A log that is kept.
    #[derive(Clone, Default)]
    struct CapturedLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for CapturedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for CapturedLog {
        type Writer = CapturedLog;

        fn make_writer(&'w self) -> CapturedLog {
            self.clone()
        }
    }

    /// What is logged by `work`.
    fn logged(ansi: bool, work: impl FnOnce()) -> String {
        let kept = CapturedLog::default();
        let log = tracing_subscriber::fmt()
            .with_ansi(ansi)
            .with_target(false)
            .without_time()
            .fmt_fields(Fields)
            .with_writer(kept.clone())
            .finish();
        tracing::subscriber::with_default(log, work);
        let bytes = kept.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_field_of_a_line_can_forge_another_line() {
        let hostile = "x\n2026-01-01 ERROR forged\r\u{1b}[2J\u{202e}";
        let shown = "x\\n2026-01-01 ERROR forged\\r\\u{1b}[2J\\u{202e}";
        let line = logged(false, || {
            tracing::warn!(service = %hostile, text = hostile, count = 3, debug = ?hostile, "say {hostile}");
        });
        let expected = format!(
            " WARN say {shown} service={shown} text=\"{shown}\" count=3 debug=\"{shown}\"\n"
        );
        assert_eq!(line, expected);
        let line = logged(false, || tracing::warn!(message = hostile, request = None::<&str>));
        assert_eq!(line, format!(" WARN {shown}\n"));
    }

    #[test]
    fn a_terminal_is_commanded_by_the_log_alone() {
        let line = logged(true, || tracing::warn!(name = %"\u{1b}[8m", "a\u{9b}8m"));
        let without_its_own = line.replace("\u{1b}[3mname\u{1b}[0m\u{1b}[2m=\u{1b}[0m", "name=");
        assert!(without_its_own.ends_with("a\\u{9b}8m name=\\u{1b}[8m\n"), "{line:?}");
    }

    #[test]
    fn a_field_is_bounded() {
        let line = logged(false, || tracing::warn!(of = %"x".repeat(1 << 20), "long"));
        assert!(line.ends_with("x…\n"), "{}", line.len());
        assert_eq!(line.matches('x').count(), limits::LOG_LINE_BYTES);
    }
}
