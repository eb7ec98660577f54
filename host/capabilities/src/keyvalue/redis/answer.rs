//! What errors of the driver and of the server mean for a guest.

use redis::{ErrorKind, RedisError};

use super::super::backend::Error;
use super::super::increment::{beyond, no_number};

/// What the server says of a value that is no number, and of a sum that is too large. There are no codes for them.
const NO_NUMBER: &str = "value is not an integer";
const BEYOND: &str = "would overflow";

/// Answers of a server that will be able to work later on.
const LATER: [&str; 4] = ["LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN"];

/// Whether the server itself has answered so. Anything else is about the connection.
pub(super) fn is_of_the_server(error: &RedisError) -> bool {
    // The driver has a kind of its own for a login that is refused.
    error.code().is_some() || error.kind() == ErrorKind::AuthenticationFailed
}

pub(super) fn error(bucket: &str, error: &RedisError) -> Error {
    if !is_of_the_server(error) {
        return Error::Unavailable(format!(
            "the connection to the Redis server of the bucket {bucket} was lost: {error}"
        ));
    }
    let (code, text) = (error.code().unwrap_or_default(), error.to_string());
    if text.contains(NO_NUMBER) {
        no_number()
    } else if text.contains(BEYOND) {
        beyond()
    } else if LATER.contains(&code) {
        Error::Unavailable(format!("the Redis server of the bucket {bucket} is not ready: {text}"))
    } else {
        Error::Refused(text)
    }
}
