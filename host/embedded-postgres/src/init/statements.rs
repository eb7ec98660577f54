//! The statements of a script: where each begins, and which the host cannot run.
//!
//! A script runs in one transaction of the host's. One that ends it would keep what came before, whatever happens
//! then. The server itself splits scripts; what is found here only refuses them, and names lines.

use std::fmt::{self, Display};

use wasm_host_capabilities::sql::{Token, Tokens, tokens};

/// The line on which each statement starts.
pub(super) fn lines(text: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut reader = Reader::new(text);
    while let Ok(Some(line)) = reader.next() {
        lines.push(line);
    }
    lines
}

/// Nothing of a script may be for psql, or control transactions.
pub(super) fn check(text: &str) -> Result<(), Refused<'_>> {
    let mut reader = Reader::new(text);
    while reader.next()?.is_some() {}
    Ok(())
}

/// What a script must not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused<'t> {
    pub(super) line: usize,
    what: What<'t>,
}

#[derive(Debug, PartialEq, Eq)]
enum What<'t> {
    Transaction(&'t str),
    Psql(&'t str),
    Copy,
    Endless,
}

impl Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Transaction(word) => write!(
                f,
                "has a `{word}`: the host runs all of a script in one transaction of its own; remove what begins, \
                 commits or rolls back transactions"
            ),
            What::Psql(command) => write!(
                f,
                "has `{command}`, a command of psql, which the server does not know; remove it, or load the script \
                 with psql"
            ),
            What::Copy => f.write_str(
                "has a `copy` from or to its client, which a script is not; write the rows as `insert` (`pg_dump \
                 --inserts` does), or load them with psql",
            ),
            What::Endless => f.write_str(
                "has a function whose `begin atomic` has no `end`; write its body between $$ and $$ if it has",
            ),
        }
    }
}

/// Reads a script statement by statement.
struct Reader<'t> {
    text: &'t str,
    tokens: Tokens<'t>,
    /// As far as lines have been counted.
    counted: usize,
    line: usize,
}

/// What is known of a statement that is being read.
#[derive(Default)]
struct Statement<'t> {
    /// Its first words. `create or replace function` has four.
    head: [&'t str; 4],
    words: usize,
    last: &'t str,
    brackets: usize,
    /// Open `begin atomic` and `case` of a function's body.
    blocks: usize,
    copies_to_client: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, tokens: tokens(text), counted: 0, line: 1 }
    }

    /// Pass over the next statement. Gives the line on which it starts.
    fn next(&mut self) -> Result<Option<usize>, Refused<'t>> {
        let mut start = None;
        let mut statement = Statement::default();
        while let Some((at, token)) = self.tokens.next() {
            if token == Token::Symbol(';') && start.is_none() {
                continue;
            }
            if token == Token::Symbol('\\') {
                let command = self.text.get(at..).unwrap_or_default();
                let command = command.split_whitespace().next().unwrap_or_default();
                return Err(Refused { line: self.line_of(at), what: What::Psql(command) });
            }
            if start.is_none() {
                start = Some(self.line_of(at));
            }
            if statement.take(token) {
                break;
            }
        }
        let Some(line) = start else { return Ok(None) };
        match statement.refused() {
            Some(what) => Err(Refused { line, what }),
            None => Ok(Some(line)),
        }
    }

    /// Places are asked for in their order.
    fn line_of(&mut self, at: usize) -> usize {
        self.line += self.text.get(self.counted..at).unwrap_or_default().matches('\n').count();
        self.counted = at;
        self.line
    }
}

impl<'t> Statement<'t> {
    /// Whether it ends with this token.
    fn take(&mut self, token: Token<'t>) -> bool {
        match token {
            Token::Word(word) => self.word(word),
            Token::Symbol('(') => self.brackets += 1,
            Token::Symbol(')') => self.brackets = self.brackets.saturating_sub(1),
            // A rule has several statements in brackets, a function's body has them in blocks.
            Token::Symbol(';') => return self.brackets == 0 && self.blocks == 0,
            _ => self.last = "",
        }
        false
    }

    fn word(&mut self, word: &'t str) {
        if let Some(place) = self.head.get_mut(self.words) {
            *place = word;
        }
        self.words += 1;
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        let follows = |other: &str| self.last.eq_ignore_ascii_case(other);
        if self.brackets == 0 {
            // The server takes either word for either direction.
            self.copies_to_client |=
                (is("stdin") || is("stdout")) && (follows("from") || follows("to"));
            if self.makes_a_function() {
                // `begin` alone may be the function's name.
                if (is("atomic") && follows("begin")) || (is("case") && self.blocks > 0) {
                    self.blocks += 1;
                } else if is("end") {
                    self.blocks = self.blocks.saturating_sub(1);
                }
            }
        }
        self.last = word;
    }

    fn head(&self, words: &[&str]) -> bool {
        words.iter().zip(&self.head).all(|(one, other)| one.eq_ignore_ascii_case(other))
    }

    fn makes_a_function(&self) -> bool {
        [["create", "function"], ["create", "procedure"]].iter().any(|words| self.head(words))
            || self.head(&["create", "or", "replace", "function"])
            || self.head(&["create", "or", "replace", "procedure"])
    }

    fn refused(&self) -> Option<What<'t>> {
        let [first, second, third, _] = self.head;
        let is = |word: &str| first.eq_ignore_ascii_case(word);
        let to_savepoint = [second, third].iter().any(|word| word.eq_ignore_ascii_case("to"));
        let begins_or_ends = ["begin", "commit", "end", "abort"].iter().any(|word| is(word))
            || self.head(&["start", "transaction"])
            || self.head(&["prepare", "transaction"])
            || (is("rollback") && !to_savepoint);
        if begins_or_ends {
            return Some(What::Transaction(first));
        }
        if is("copy") && self.copies_to_client {
            return Some(What::Copy);
        }
        // What follows could be taken for its body.
        (self.blocks > 0).then_some(What::Endless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_start_where_their_first_word_is() {
        let text =
            "-- a; b\nselect 'x;\n''y';\n\n/* ; */ do $b$ begin;\n end $b$;\nselect \"a;b\"\n;";
        assert_eq!(lines(text), [2, 5, 7]);
        assert_eq!(lines(""), [0; 0]);
        assert_eq!(lines("select $1; select '"), [1, 1]);
        assert_eq!(lines(";;\n;(select 1);\n/* /* */ ; */ select 2"), [2, 3]);
        let rule = "create rule r as on insert to t do also (select 1;\nselect 2);\nselect 3";
        assert_eq!(lines(rule), [1, 3]);
    }

    fn refused(text: &str) -> String {
        let Err(refused) = check(text) else { panic!("`{text}` is taken") };
        format!("{} {refused}", refused.line)
    }

    #[test]
    fn what_ends_the_hosts_transaction_is_refused_with_its_line() {
        for (text, expected) in [
            ("begin; select 1", "1 has a `begin`"),
            ("select 1;\n\n/* c */ COMMIT", "3 has a `COMMIT`"),
            ("select 1; end", "1 has a `end`"),
            ("abort", "1 has a `abort`"),
            ("start -- x\n transaction", "1 has a `start`"),
            ("rollback", "1 has a `rollback`"),
            ("rollback /* to */ work", "1 has a `rollback`"),
            ("rollback 'to'", "1 has a `rollback`"),
            ("commit prepared 'x'", "1 has a `commit`"),
            ("prepare transaction 'x'", "1 has a `prepare`"),
            ("select 'it\\'; commit; select '", "1 has a `commit`"),
            ("select E'\\''; commit; select ''", "1 has a `commit`"),
            (
                "create function f() returns int begin atomic select 1; end;\ncommit",
                "2 has a `commit`",
            ),
            (
                "create function begin() returns int language sql return 1;\ncommit; select 1 as end;",
                "2 has a `commit`",
            ),
        ] {
            let refused = refused(text);
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_taken() {
        for text in [
            "savepoint a; rollback to savepoint a; rollback work to a; release a",
            "do $$ begin perform 1; end $$",
            "create function f() returns int language sql begin atomic select 1; select case when true then 1 end; end",
            "create or replace procedure p() begin atomic insert into t values (1); end; select 1",
            "create function f() returns int as 'begin; commit' language sql",
            "create rule r as on insert to t do also (select 1; select 2)",
            "prepare x as select 1",
            "create table \"commit\" (\"end\" int, begin_at date); insert into t values ('commit;')",
            "copy t from '/tmp/x'; copy (select 1) to program 'cat'",
            "copy t (stdin) from '/tmp/x'",
            "copy (select a from stdin) to '/tmp/x'",
            "set transaction isolation level serializable",
            "select E'\\\\'; -- \\x\nselect 1 /* \\y */, '\\z'",
            "start_something()",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_for_psql_is_refused_with_its_line() {
        for (text, expected) in [
            ("select 1;\n\\connect other\n", "2 has `\\connect`"),
            ("\\restrict 'x", "1 has `\\restrict`"),
            ("select 1 \\gset", "1 has `\\gset`"),
            ("create table t(a int);\ncopy t (a)\nfrom stdin;\n1\n\\.\ncommit;", "2 has a `copy`"),
            ("COPY public.t FROM STDIN WITH (format csv)", "1 has a `copy`"),
            ("copy (select 1) to stdout", "1 has a `copy`"),
        ] {
            let refused = refused(text);
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
    }

    #[test]
    fn a_function_without_an_end_hides_nothing() {
        let text = "create function f() returns int begin atomic select 1 as case; end;\ncommit";
        assert!(refused(text).starts_with("1 has a function"));
    }
}
