//! What it does with its database.

use crate::bindings::wasm_host::postgres::blocking::{self, Cursor};
use crate::bindings::wasm_host::postgres::types::{Error, Row, Scalar, Value};
use crate::{Client, Done};

/// How a transaction ends.
#[derive(Clone, Copy)]
pub enum End {
    Commit,
    Rollback,
    Drop,
}

/// The first column of each row, a line each.
pub fn query(client: &Client, statement: &str) -> Done {
    let (_columns, cursor) = blocking::query(statement, &[]).map_err(words)?;
    while let Some(rows) = cursor.next().map_err(words)? {
        let lines: String = rows.iter().map(line).collect();
        client.say(&lines)?;
    }
    client.say(&format!("then {:?}\n", cursor.next()))
}

/// How many rows there are, and in which pieces they came.
pub fn count(client: &Client, statement: &str) -> Done {
    let (columns, cursor) = blocking::query(statement, &[]).map_err(words)?;
    let (mut all, mut batches, mut largest) = (0, 0, 0);
    while let Some(rows) = cursor.next().map_err(words)? {
        all += rows.len();
        batches += 1;
        largest = largest.max(rows.len());
    }
    let columns: Vec<_> = columns.iter().map(|column| column.type_name.as_str()).collect();
    let columns = columns.join(", ");
    client.say(&format!("{all} rows of {columns} in {batches} batches of at most {largest}\n"))
}

/// Leave the rest alone.
pub fn first_batch(client: &Client, statement: &str) -> Done {
    let (_columns, cursor) = blocking::query(statement, &[]).map_err(words)?;
    let rows = cursor.next().map_err(words)?.unwrap_or_default();
    drop(cursor);
    client.say(&format!("{} rows\n", rows.len()))
}

pub fn execute(client: &Client, statement: &str) -> Done {
    let count = blocking::execute(statement, &[]).map_err(words)?;
    client.say(&format!("{count} rows\n"))
}

/// Two rows go into `notes`, one of which is counted in between, and out again or not.
pub fn transaction(client: &Client, end: End) -> Done {
    let transaction = blocking::begin().map_err(words)?;
    let insert = "insert into notes (text) values ($1)";
    let text = |text: &str| [Value::Scalar(Scalar::Text(text.to_string()))];
    transaction.execute(insert, &text("one")).map_err(words)?;
    let (_columns, cursor) =
        transaction.query("select count(*)::int from notes", &[]).map_err(words)?;
    // All its rows are read, though not that there are no more.
    let rows = cursor.next().map_err(words)?.unwrap_or_default();
    transaction.execute(insert, &text("two")).map_err(words)?;
    match end {
        End::Commit => transaction.commit().map_err(words)?,
        End::Rollback => transaction.rollback().map_err(words)?,
        End::Drop => {}
    }
    if !matches!(end, End::Drop) {
        let after = transaction.execute(insert, &text("three"));
        client.say(&format!("then {after:?}\n"))?;
    }
    let counted: String = rows.iter().map(line).collect();
    client.say(&format!("counted {counted}"))
}

/// A transaction with rows that are never read.
pub fn unread(client: &Client) -> Done {
    let transaction = blocking::begin().map_err(words)?;
    let begin = || transaction.query("select generate_series(1, 1000000)", &[]).map_err(words);
    let (_columns, cursor) = begin()?;
    first(&cursor)?;
    client.say(&format!("execute: {:?}\n", transaction.execute("select 1", &[])))?;
    client.say(&format!("commit: {:?}\n", transaction.commit()))?;
    // Neither was run, so its rows are still there.
    first(&cursor)?;
    client.say(&format!("rollback: {:?}\n", transaction.rollback()))?;
    client.say(&format!("next: {:?}\n", cursor.next().map(|rows| rows.is_some())))?;
    client.say(&format!("next: {:?}\n", cursor.next().map(|rows| rows.is_some())))
}

fn first(cursor: &Cursor) -> Done {
    let rows = cursor.next().map_err(words)?;
    if rows.is_some() { Ok(()) } else { Err("no rows".to_string()) }
}

fn words(error: Error) -> String {
    format!("{error:?}")
}

fn line(row: &Row) -> String {
    match row.first() {
        Some(Value::Scalar(Scalar::Text(text))) => format!("{text}\n"),
        Some(Value::Scalar(Scalar::Int32(number))) => format!("{number}\n"),
        other => format!("{other:?}\n"),
    }
}
