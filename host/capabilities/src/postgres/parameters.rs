//! The parameters of a statement in the server's form.
//!
//! The driver sends all of them in the binary one. What is converted to it without loss is converted here; text for
//! any other type, be it a date, an interval or a type of the database's own, the server reads, in a statement before.

use sqlx::postgres::{PgArguments, PgConnection, PgStatement, PgTypeInfo};
use sqlx::{Arguments, AssertSqlSafe, Either, Executor, Row as _, SqlSafeStr, Statement};

use super::backend::{Error, Scalar, Value};
use super::convert::{self, Parameter, Type};
use super::kept::PreparedStatements;
use super::rows::StatementEnd;
use wasm_host_limits::postgres as limits;
use wasm_host_system::allocations::unwatched;
use wasm_host_system::counted::counted;

/// Parameters by their positions, from 0, in order.
type PositionedParameters = Vec<(usize, Parameter)>;

/// A statement can have this many; beyond it, the server and the driver count wrong.
pub(super) fn check_count(given: usize) -> Result<(), Error> {
    if given <= limits::PARAMETERS {
        return Ok(());
    }
    Err(Error::InvalidParameter(format!(
        "a statement can have {} parameters, {given} were given; give many values as one array, as in \
         `select … from unnest($1::int4[])`",
        limits::PARAMETERS,
    )))
}

/// Bytes of what is given, in the host's memory. An error, if it is more than can be sent: that is known before there
/// is a connection.
pub(crate) fn held_bytes(given: &[Value]) -> Result<usize, Error> {
    let (mut bytes, mut sent) = (size_of_val(given), 0);
    for (position, value) in given.iter().enumerate() {
        let mut count = |scalar: &Scalar| match scalar {
            // As they are.
            Scalar::Text(text) | Scalar::Json(text) => sent += text.len(),
            Scalar::Bytes(given) => sent += given.len(),
            Scalar::Uuid(text) | Scalar::Numeric(text) => bytes += text.len(),
            _ => {}
        };
        match value {
            Value::Null => {}
            Value::Scalar(scalar) => count(scalar),
            Value::Array(elements) => {
                elements.iter().flatten().for_each(count);
                bytes += size_of_val(elements.as_slice());
            }
        }
        if sent > limits::PARAMETER_BYTES {
            return Err(too_large(position));
        }
    }
    Ok(bytes + sent)
}

fn too_large(position: usize) -> Error {
    Error::InvalidParameter(format!(
        "the parameters up to number {} are larger than {} bytes",
        position + 1,
        limits::PARAMETER_BYTES,
    ))
}

/// What is given, as the statement expects it.
pub(super) async fn bind(
    sql: &mut PgConnection,
    kept: &mut PreparedStatements,
    statement: &PgStatement,
    given: &[Value],
) -> Result<PgArguments, StatementEnd> {
    let expected = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    if expected.len() != given.len() {
        return Err(StatementEnd::refused(Error::InvalidParameter(format!(
            "a statement with {} is given {}",
            counted(expected.len(), "parameter"),
            given.len(),
        ))));
    }
    let written = unwatched(|| write(expected, given, Vec::new()));
    let (arguments, texts) = written.map_err(StatementEnd::refused)?;
    if texts.is_empty() {
        return Ok(arguments);
    }
    let mut read = Vec::with_capacity(texts.len());
    for texts in texts.chunks(limits::TEXTS_AT_ONCE) {
        read_texts(sql, kept, expected, given, texts, &mut read).await?;
    }
    let written = unwatched(|| write(expected, given, read));
    written.map(|(arguments, _)| arguments).map_err(StatementEnd::refused)
}

/// The parameters as far as they can be written without the server, and the texts that only it can read. `read` is
/// what it has read.
fn write(
    expected: &[PgTypeInfo],
    given: &[Value],
    read: PositionedParameters,
) -> Result<(PgArguments, PositionedParameters), Error> {
    let mut arguments = PgArguments::default();
    let mut texts = Vec::new();
    let mut read = read.into_iter().peekable();
    let mut size = 0;
    for (position, (info, value)) in expected.iter().zip(given).enumerate() {
        let parameter = match read.next_if(|(at, _)| *at == position) {
            Some((_, parameter)) => parameter,
            None => {
                let of = Type::of(info);
                match convert::write(position, &of, value) {
                    Ok(parameter) => parameter,
                    Err(refused) => {
                        let text = convert::text_for_server(&of, value).ok_or(refused)?;
                        size += text.size();
                        texts.push((position, text));
                        Parameter::default()
                    }
                }
            }
        };
        size += parameter.size();
        if size > limits::PARAMETER_BYTES {
            return Err(too_large(position));
        }
        arguments.add(parameter).map_err(|error| {
            Error::InvalidParameter(format!("parameter {}: {error}", position + 1))
        })?;
    }
    Ok((arguments, texts))
}

/// Let the server read texts. What it cannot read is an error of it like any other.
async fn read_texts(
    sql: &mut PgConnection,
    kept: &mut PreparedStatements,
    expected: &[PgTypeInfo],
    given: &[Value],
    texts: &[(usize, Parameter)],
    read: &mut PositionedParameters,
) -> Result<(), StatementEnd> {
    let mut arguments = PgArguments::default();
    let mut columns = Vec::with_capacity(texts.len());
    for (column, (position, text)) in texts.iter().enumerate() {
        let array = match given.get(*position) {
            Some(Value::Array(_)) => "[]",
            _ => "",
        };
        let name = expected.get(*position).map(convert::name_in_sql).unwrap_or_default();
        columns.push(format!("${}::pg_catalog.text{array}::{name}", column + 1));
        // It has been encoded once.
        let _ = arguments.add(text);
    }
    let statement = AssertSqlSafe(format!("select {}", columns.join(", "))).into_sql_str();
    let statement = kept.prepare(sql, statement).await?;
    let row = sql.fetch_one(statement.query_with(arguments)).await?;
    for (column, (position, _)) in texts.iter().enumerate() {
        let bytes = row.try_get_raw(column)?.as_bytes().map(<[u8]>::to_vec).ok();
        read.push((*position, Parameter::new(bytes)));
    }
    Ok(())
}
