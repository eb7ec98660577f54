//! A call of gRPC with one message each way, on the side that is called.

use bytes::Bytes;

use super::{Inflated, inflate};
use crate::send::grpc::{PREFIX, framed};

/// The codes of gRPC that answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// The one message of a call. `is_gzip`: that is what a message that is compressed is compressed with.
pub fn message(body: &Bytes, is_gzip: bool, most: u64) -> Inflated {
    let Some((prefix, rest)) = body.split_at_checked(PREFIX) else { return Inflated::Broken };
    let [is_compressed, length @ ..] = prefix else { return Inflated::Broken };
    let length = <[u8; 4]>::try_from(length).map_or(u32::MAX, u32::from_be_bytes);
    if rest.len() as u64 != u64::from(length) {
        return Inflated::Broken;
    }
    match (is_compressed, is_gzip) {
        (0, _) if rest.len() as u64 > most => Inflated::TooLarge,
        (0, _) => Inflated::Whole(body.slice(PREFIX..)),
        (1, true) => inflate(rest, most),
        _ => Inflated::Broken,
    }
}

/// An answer as it is sent.
pub fn answer(message: &[u8]) -> Bytes {
    framed(message, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_long_as_it_says_and_compressed_as_it_says() {
        let body = |flag: u8, length: u8, rest: &[u8]| {
            Bytes::from([&[flag, 0, 0, 0, length][..], rest].concat())
        };
        let whole = Inflated::Whole(Bytes::from_static(b"abc"));
        assert_eq!(message(&body(0, 3, b"abc"), false, 3), whole);
        assert_eq!(message(&body(0, 3, b"abc"), false, 2), Inflated::TooLarge);
        let compressed = framed(&crate::send::gzip(b"abc"), true);
        assert_eq!(message(&compressed, true, 3), whole);
        assert_eq!(message(&compressed, false, 3), Inflated::Broken);
        for broken in [body(0, 4, b"abc"), body(0, 2, b"abc"), body(2, 3, b"abc"), Bytes::new()] {
            assert_eq!(message(&broken, true, 9), Inflated::Broken);
        }
    }
}
