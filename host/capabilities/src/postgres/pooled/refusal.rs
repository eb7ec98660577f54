//! Which statements a connection pooler makes impossible, judged by their first words.
//!
//! It knows nothing of connections.

use crate::postgres::backend::Error;

/// What may not run because it reaches beyond its transaction, or ends it.
pub(in super::super) fn refusal(statement: &str) -> Option<Error> {
    let (first, rest) = word(statement);
    let (second, _) = word(rest);
    let text = match (&*first, &*second) {
        ("rollback", "to") => return None,
        ("begin" | "start" | "commit" | "end" | "rollback" | "abort", _)
        | ("prepare", "transaction") => {
            "this database is reached through a connection pooler, where a transaction cannot be begun or ended \
             by a statement; use `begin` of the interface"
        }
        ("deallocate" | "discard", _) => {
            "this database is reached through a connection pooler, which may keep prepared statements and other \
             state of its sessions for others; leave this statement out"
        }
        _ => return None,
    };
    Some(Error::Unsupported(text.to_string()))
}

/// The next word in lower case, and what follows it. Comments count as space.
fn word(statement: &str) -> (String, &str) {
    let mut rest = statement;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        rest = match (rest.strip_prefix("--"), rest.strip_prefix("/*")) {
            (Some(comment), _) => comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest),
            (_, Some(comment)) => after_comment(comment),
            _ => break,
        };
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, rest) = rest.split_at(end);
    (word.to_ascii_lowercase(), rest)
}

/// What follows a comment that has begun. They nest.
fn after_comment(mut rest: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = rest.find(['/', '*']) else { return "" };
        rest = rest.get(at..).unwrap_or_default();
        if let Some(deeper) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, deeper);
        } else if let Some(out) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, out);
        } else {
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_its_transaction_is_refused_however_it_is_hidden() {
        for statement in [
            "commit",
            " ;; COMMIT and chain",
            "/* a /* nested */ comment */ rollback",
            "-- a line\n end",
            "-- a line\r abort",
            "/**/begin",
            "start transaction",
            "prepare /* x */ transaction 'x'",
            "deallocate all",
            "/*/ */ discard all",
        ] {
            assert!(refusal(statement).is_some(), "{statement}");
        }
    }

    #[test]
    fn what_stays_in_its_transaction_is_not() {
        for statement in [
            "select 1",
            "",
            "/* never closed",
            "-- commit",
            "/* commit */ select 1",
            "rollback to savepoint s",
            "rollback /* x */ to s",
            "prepare p as select 1",
            "ending",
            "committed",
            "savepoint s",
            "vacuum",
            "select 'commit'",
        ] {
            assert!(refusal(statement).is_none(), "{statement}");
        }
    }
}
