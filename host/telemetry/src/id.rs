//! What names a trace and a span.

use std::fmt;
use std::str::FromStr;

/// A trace: everything that was done for one request, wherever. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// One piece of a trace. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u64);

/// It is not the digits of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl SpanId {
    /// A new one, by chance.
    pub fn new() -> Self {
        Self(fastrand::u64(1..))
    }

    /// The trace that begins with this span. Its lower half is the span's own id, so that with the id of a request
    /// has its trace, too.
    pub fn begins(self) -> TraceId {
        TraceId(u128::from(fastrand::u64(1..)) << 64 | u128::from(self.0))
    }
}

impl SpanId {
    /// Its digits. Each request has them written, so they are not formatted.
    pub fn digits(self) -> [u8; 16] {
        let mut digits = [0; 16];
        // Two digits for each byte: there is nothing that it could refuse.
        let _ = hex::encode_to_slice(self.0.to_be_bytes(), &mut digits);
        digits
    }
}

impl TraceId {
    /// Its digits.
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        let _ = hex::encode_to_slice(self.0.to_be_bytes(), &mut digits);
        digits
    }
}

impl Default for SpanId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

/// Digits in small letters, as the W3C writes them, and no other.
fn digits(text: &str, count: usize) -> Result<&str, NotAnId> {
    let are_all = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() == count && are_all { Ok(text) } else { Err(NotAnId) }
}

impl FromStr for TraceId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match u128::from_str_radix(digits(text, 32)?, 16) {
            Ok(0) | Err(_) => Err(NotAnId),
            Ok(id) => Ok(Self(id)),
        }
    }
}

impl FromStr for SpanId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        match u64::from_str_radix(digits(text, 16)?, 16) {
            Ok(0) | Err(_) => Err(NotAnId),
            Ok(id) => Ok(Self(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_digits_in_small_letters_and_never_zero() {
        let trace: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let span: SpanId = "00f067aa0ba902b7".parse().unwrap();
        assert_eq!(span.to_string(), "00f067aa0ba902b7");
        for wrong in [
            "",
            "0",
            "0000000000000000",
            "00F067AA0BA902B7",
            "+0f067aa0ba902b7",
            "00f067aa0ba902b70",
        ] {
            assert_eq!(wrong.parse::<SpanId>(), Err(NotAnId), "{wrong}");
        }
        assert_eq!("0".repeat(32).parse::<TraceId>(), Err(NotAnId));
    }

    #[test]
    fn the_trace_of_a_first_span_ends_with_its_id() {
        let span = SpanId::new();
        assert!(span.begins().to_string().ends_with(&span.to_string()));
        assert_ne!(span.begins(), span.begins());
    }
}
