//! What errors of the driver and of the server mean for a guest, and for the connection that they came over. What a
//! server says of other servers, such as their addresses, is not handed on.

use redis::{ErrorKind, RedisError};

use super::super::backend::Error;
use super::super::increment::{beyond, no_number};

/// What the server says of a value that is no number, and of a sum that is too large. There are no codes for them.
const NO_NUMBER: &str = "value is not an integer";
const BEYOND: &str = "would overflow";

/// Answers of a server that will be able to work later on.
const LATER: [&str; 5] = ["LOADING", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS"];

/// Answers of a replica: since the connection was opened, another server has taken the place of this one.
const REPLICA: [&str; 2] = ["READONLY", "MASTERDOWN"];

/// Answers of one server of a cluster.
const CLUSTER: [&str; 4] = ["MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN"];

/// The server does not know any more that the connection has logged in.
const LOGGED_OUT: &str = "NOAUTH";

/// The server has no memory left for a write.
const FULL: &str = "OOM";

/// Whether the server itself has answered so. Anything else is about the connection.
pub(super) fn is_of_the_server(error: &RedisError) -> bool {
    // The driver has a kind of its own for a login that is refused.
    error.code().is_some() || error.kind() == ErrorKind::AuthenticationFailed
}

/// Whether a new connection is needed, and another one than this may come to a server that can do it.
pub(super) fn ends_connections(error: &RedisError) -> bool {
    !is_of_the_server(error) || has(error, &REPLICA) || has(error, &[LOGGED_OUT])
}

/// Whether the server answers with one of these codes, itself or, as version 6 does, from within a script.
fn has(error: &RedisError, codes: &[&str]) -> bool {
    let inner = || error.detail().unwrap_or_default();
    let is_script = error.code() == Some("ERR") && inner().contains("running script");
    error.code().is_some_and(|code| codes.contains(&code))
        || is_script && codes.iter().any(|code| inner().contains(&format!("-{code} ")))
}

pub(super) fn error(bucket: &str, error: &RedisError) -> Error {
    let server = || format!("the Redis server of the bucket {bucket}");
    if !is_of_the_server(error) {
        return Error::Unavailable(format!("the connection to {} was lost: {error}", server()));
    }
    let text = error.to_string();
    if text.contains(NO_NUMBER) {
        no_number()
    } else if text.contains(BEYOND) {
        beyond()
    } else if has(error, &CLUSTER) {
        Error::Unavailable(format!(
            "{} is one of a cluster, which is not supported: the url must name a server that has all keys",
            server()
        ))
    } else if has(error, &REPLICA) {
        Error::Unavailable(format!(
            "{} is a replica of another one and takes no writes; the next call connects anew",
            server()
        ))
    } else if has(error, &[FULL]) {
        Error::Full(format!("{} has no room for this ('maxmemory' of the server)", server()))
    } else if has(error, &LATER) || has(error, &[LOGGED_OUT]) {
        Error::Unavailable(format!("{} is not ready: {text}", server()))
    } else {
        Error::Refused(text)
    }
}

#[cfg(test)]
mod tests {
    use redis::{Value, from_redis_value, parse_redis_value};

    use super::*;

    /// What comes of an answer.
    fn of(answer: &str) -> (Error, bool) {
        let answer = parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        let told = match answer {
            Value::ServerError(error) => RedisError::from(error),
            other => panic!("{:?}", from_redis_value::<String>(other)),
        };
        (error("b", &told), ends_connections(&told))
    }

    #[test]
    fn an_answer_says_whether_the_server_is_still_the_right_one() {
        let script = "ERR Error running script (call to f_1): @user_script:6: @user_script: 6: ";
        for (answer, words, ends) in [
            ("READONLY You can't write against a read only replica.", "is a replica", true),
            (&format!("{script}-READONLY You can't write"), "is a replica", true),
            ("MASTERDOWN Link with MASTER is down", "is a replica", true),
            ("NOAUTH Authentication required.", "is not ready", true),
            ("MOVED 3999 10.0.0.3:6379", "is one of a cluster", false),
            ("CROSSSLOT Keys in request don't hash to the same slot", "is one of a cluster", false),
            ("CLUSTERDOWN Hash slot not served", "is one of a cluster", false),
            ("MISCONF Redis is configured to save RDB snapshots", "is not ready", false),
            ("NOREPLICAS Not enough good replicas to write.", "is not ready", false),
            ("BUSY Redis is busy running a script.", "is not ready", false),
        ] {
            let (error, has_ended) = of(answer);
            let Error::Unavailable(why) = error else { panic!("{answer}: {error:?}") };
            assert!(why.contains(words) && !why.contains("10.0.0.3"), "{answer}: {why}");
            assert_eq!(has_ended, ends, "{answer}");
        }
        let full = of("OOM command not allowed when used memory > 'maxmemory'.");
        assert!(
            matches!(&full, (Error::Full(why), false) if why.contains("'maxmemory'")),
            "{full:?}"
        );
        let refused = of("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert!(matches!(refused, (Error::Refused(_), false)), "{refused:?}");
        // A value may say anything.
        let wrong = of("ERR unknown command '-READONLY x'");
        assert!(matches!(wrong, (Error::Refused(_), false)), "{wrong:?}");
    }
}
