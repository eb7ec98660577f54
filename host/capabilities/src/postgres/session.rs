//! What a statement may leave behind in its connection, judged from its text.
//!
//! A service finds its own connections as it first got them. Resetting each after every statement would cost each of
//! them a round trip, and the driver does not report command tags. So the text decides, and it errs on the safe side: a
//! statement counts as harmless only if it starts as a plain read or write and calls nothing but functions known here.
//! What the triggers, views, operators and defaults of its own schema do to its sessions no text shows, and is its own
//! affair: no other service uses a connection of its, and through a pooler everything is taken back unseen.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::sql;

/// What the session needs before the next user gets it. Later ones include the earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leftover {
    /// Nothing.
    #[default]
    Nothing,
    /// Settings, temporary tables, advisory locks, cursors or subscriptions: reset.
    Session,
    /// An open transaction besides: roll back, then reset.
    Transaction,
    /// Prepared statements may be gone or may be the guest's own: close the connection.
    Unknown,
}

/// Names before a `(` that cannot change a session: syntax and built-in functions.
const HARMLESS: &str = "
    abs age all and any array array_agg array_length array_position as avg between bit
    bit_length bool_and bool_or bpchar btrim by cardinality case cast ceil char char_length
    clock_timestamp coalesce concat concat_ws conflict count cube current_setting date_part
    date_trunc decimal decode dense_rank distinct else encode except exists exp extract filter
    first_value floor format from gen_random_uuid generate_series greatest group grouping having
    in initcap intersect interval join json_agg json_array_elements json_array_length
    json_build_array json_build_object json_object_agg json_typeof jsonb_agg
    jsonb_array_elements jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_object_agg jsonb_set jsonb_typeof lag last_value lateral lead least left length like
    ln lower lpad ltrim make_date make_timestamp materialized max md5 min mod not now ntile
    nullif numeric octet_length on only or over overlay percentile_cont pg_backend_pid pg_sleep
    position power random rank recursive regexp_match regexp_matches regexp_replace replace
    returning reverse rollup round row row_number rpad rtrim select set sets sha256 sign some
    split_part sqrt starts_with statement_timestamp stddev string_agg strpos substring sum then
    time timestamp timestamptz timezone to_char to_date to_json to_jsonb to_number to_regclass
    to_timestamp to_tsquery to_tsvector translate trim trunc union unnest upper using values
    varbit varchar variance version when where within
";

static HARMLESS_NAMES: LazyLock<HashSet<&str>> =
    LazyLock::new(|| HARMLESS.split_whitespace().collect());

/// Judge a statement, on a connection without a pooler.
pub(super) fn leftover(statement: &str) -> Leftover {
    let start = sql::start(statement);
    let mut words = sql::tokens(start).map(|(_, token)| token.word().to_ascii_lowercase());
    let (keyword, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match keyword.as_str() {
        // What these do ends with the transaction, and outside of one they do nothing.
        "savepoint" | "release" | "lock" => Leftover::Nothing,
        "rollback" if second == "to" => Leftover::Nothing,
        "set" if matches!(second.as_str(), "local" | "transaction") => Leftover::Nothing,
        "select" | "values" | "table" | "with" if calls_are_harmless(start, false) => {
            Leftover::Nothing
        }
        "insert" | "update" | "delete" | "merge" if calls_are_harmless(start, true) => {
            Leftover::Nothing
        }
        // `commit and chain` leaves the next one open.
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" => Leftover::Transaction,
        // `do` and `call` run code that can do all of it, and `explain` runs any of these.
        "prepare" | "deallocate" | "discard" | "do" | "call" | "execute" | "explain" => {
            Leftover::Unknown
        }
        // No statement at all, or none that begins like one.
        "" => Leftover::Unknown,
        _ => Leftover::Session,
    }
}

/// A statement that moves data outside the row protocol, which the interface does not carry.
pub(super) fn is_copy(statement: &str) -> bool {
    let first = sql::tokens(sql::start(statement)).next();
    first.is_some_and(|(_, token)| token.word().eq_ignore_ascii_case("copy"))
}

/// Whether a plain statement calls nothing unknown. Literals and quoted names are read as if they
/// were code: that can only make the answer stricter. Comments could hide the name before a `(`, so
/// a statement with comments is not judged at all.
fn calls_are_harmless(statement: &str, may_insert: bool) -> bool {
    if statement.contains("--") || statement.contains("/*") {
        return false;
    }
    // The name that a `(` would call, and whether it is that of a table to insert into.
    let mut name = String::new();
    let mut is_table = false;
    let mut in_word = false;
    for character in statement.chars() {
        match character {
            '(' if name.is_empty() || is_table || HARMLESS_NAMES.contains(name.as_str()) => {
                name.clear();
                (in_word, is_table) = (false, false);
            }
            '(' => return false,
            '.' => {
                name.push('.');
                in_word = false;
            }
            space if space.is_ascii_whitespace() || space == '\x0b' => in_word = false,
            // Beyond ASCII, every character is one of a name.
            part if part.is_ascii_alphanumeric()
                || !part.is_ascii()
                || matches!(part, '_' | '$' | '"') =>
            {
                if !in_word && !name.ends_with('.') {
                    // `select … into temp t` makes a table.
                    if name == "into" && !may_insert {
                        return false;
                    }
                    is_table = name == "into";
                    name.clear();
                }
                in_word = true;
                name.push(part.to_ascii_lowercase());
            }
            _ => {
                name.clear();
                (in_word, is_table) = (false, false);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_reads_and_writes_leave_nothing() {
        for statement in [
            "select summary from weathersummaries",
            "  SELECT count(*) FROM t WHERE a IN ($1, $2)",
            "insert into t (a, b) values ($1, $2) on conflict (a) do update set b = excluded.b",
            "insert into public.t (a) values (now()) returning id",
            "insert into t values (1)",
            "update t set a = coalesce($1, a) where (b = 2)",
            "delete from t",
            "with x as (select 1) select * from x",
            "select * from generate_series(1, 3)",
            "(select 1) union (select 2)",
            "/* app='x', /* route */ */ select 1",
            "-- a comment\n(-- another\nselect 1)",
            "savepoint s",
            "rollback to savepoint s",
            "set local statement_timeout = 0",
            "set transaction isolation level serializable",
            "lock table t",
        ] {
            assert_eq!(leftover(statement), Leftover::Nothing, "{statement}");
        }
    }

    #[test]
    fn what_may_change_the_session_is_reset() {
        for statement in [
            "set search_path = x",
            "select set_config('a.b', 'c', false)",
            "SELECT PG_ADVISORY_LOCK (1)",
            "select now\n(1), pg_catalog.pg_advisory_lock(1)",
            "select \"pg_advisory_lock\"(1)",
            "select pg_catalog.\"now\"(1)",
            "select now/**/(1)",
            "select f -- now\n(1)",
            "select 1 as a into temp t",
            "with x as (select set_config('a', 'b', false)) select 1",
            "insert into t select pg_advisory_lock(1)",
            "select €now(1)",
            "select now\u{a0}(1)",
            "select ran\u{212a}(1)",
            "set /* local */ search_path = x",
            "set search_path = local",
            "set \"search_path\" = local",
            "create temp table t(a int)",
            "listen x",
            "declare c cursor with hold for select 1",
            "my_extension_command",
        ] {
            assert_eq!(leftover(statement), Leftover::Session, "{statement}");
        }
    }

    #[test]
    fn transactions_and_prepared_statements_are_seen() {
        assert_eq!(leftover(" ;Begin"), Leftover::Transaction);
        assert_eq!(leftover("start transaction"), Leftover::Transaction);
        assert_eq!(leftover("commit and chain"), Leftover::Transaction);
        assert_eq!(leftover("/* x */ begin"), Leftover::Transaction);
        assert_eq!(leftover("rollback /* to */"), Leftover::Transaction);
        for statement in ["deallocate all", "DISCARD ALL", "do $$ begin end $$", "/* x */", ""] {
            assert_eq!(leftover(statement), Leftover::Unknown, "{statement}");
        }
    }

    #[test]
    fn copy_is_seen_behind_whatever_says_nothing() {
        for statement in [
            "copy t to stdout",
            " COPY t from stdin",
            "/* x */ copy t to stdout",
            "--\n; /*/**/*/copy(select 1) to stdout",
        ] {
            assert!(is_copy(statement), "{statement}");
        }
        for statement in ["select 1", "/* copy */ select 1", "copying", "", "'copy'"] {
            assert!(!is_copy(statement), "{statement}");
        }
    }

    #[test]
    fn the_later_leftover_includes_the_earlier() {
        assert!(Leftover::Nothing < Leftover::Session);
        assert!(Leftover::Session < Leftover::Transaction);
        assert!(Leftover::Transaction < Leftover::Unknown);
    }
}
