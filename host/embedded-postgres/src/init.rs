//! Init scripts: SQL that gives a database its tables and first rows, run once.
//!
//! Each runs in one transaction together with the record that it ran, in the database itself, so
//! that it cannot run half, and not again on another host.

mod notices;
mod statements;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnection, PgDatabaseError, PgErrorPosition, Postgres};
use sqlx::{AssertSqlSafe, Connection, Either, Executor, Row, Transaction};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::shown;
use wasm_host_capabilities::postgres::{self, url::Address};
use wasm_host_limits::deploy::DATABASES_AGAIN;
use wasm_host_limits::embedded_postgres as limits;

/// The advisory lock under which scripts run: the bytes of `wasmhost`.
const LOCK: i64 = 0x7761_736d_686f_7374;

/// A script.
#[derive(Clone, Debug)]
pub struct Script {
    /// As the application file writes it; under this name it is recorded.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Run the scripts that have not been run in this database. Gives the names of those that were run.
pub async fn apply(address: &Address, scripts: &[Script]) -> anyhow::Result<Vec<String>> {
    let texts = scripts
        .iter()
        .map(|script| Ok((script.name.as_str(), read(&script.path)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    timeout(limits::INIT_TIMEOUT, apply_all(address, &texts)).await.unwrap_or_else(|_| {
        Err(anyhow!(
            "the init scripts of the database `{}` did not end within {} s",
            address.database(),
            limits::INIT_TIMEOUT.as_secs()
        ))
    })
}

/// Wait until the server lets somebody in, for as long as `patience`. What waiting does not mend, such as a wrong password,
/// is an error at once.
pub async fn wait_for(address: &Address, patience: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let connect = PgConnection::connect_with(address.options());
        let error = match timeout(limits::INIT_CONNECT_TIMEOUT, connect).await {
            Ok(Ok(sql)) => return Ok(sql.close().await?),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
        };
        if !is_on_its_way(&error) || Instant::now() + DATABASES_AGAIN > deadline {
            let database = address.database();
            bail!("cannot connect to the database `{database}`: {}", say(&error));
        }
        sleep(DATABASES_AGAIN).await;
    }
}

/// Whether a server that answers so, or not at all, may let clients in later on.
fn is_on_its_way(error: &sqlx::Error) -> bool {
    /// `cannot_connect_now`: it starts, or repairs what a crash left.
    const STARTS: &str = "57P03";
    match error {
        sqlx::Error::Io(_) => true,
        // What is in front of it closes the connection before a word is said.
        sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().as_deref() == Some(STARTS),
        _ => false,
    }
}

/// What went wrong in the server's own words, without where in its source it found that out.
fn say(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            format!("{} (SQLSTATE {})", error.message(), error.code().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

async fn apply_all(address: &Address, texts: &[(&str, String)]) -> anyhow::Result<Vec<String>> {
    let database = address.database();
    let connect = PgConnection::connect_with(address.options());
    let mut sql = timeout(limits::INIT_CONNECT_TIMEOUT, connect)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
        .map_err(|error| anyhow!("cannot connect to the database `{database}`: {}", say(&error)))?;
    let mut transaction = begin(&mut sql).await?;
    // Without the question, each start would leave a notice in the server's log.
    let known = sqlx::raw_sql("select to_regclass('wasm_host_init')::text")
        .fetch_one(&mut *transaction)
        .await?
        .try_get::<Option<String>, _>(0)?;
    if known.is_none() {
        let create = "create table if not exists wasm_host_init (path text primary key, \
             sha256 text not null, applied_at timestamptz not null default now())";
        transaction.execute(create).await.with_context(|| {
            format!("cannot create the table `wasm_host_init` in the database `{database}`")
        })?;
    }
    // Before the first one runs.
    for (name, text) in texts {
        if is_new(&mut transaction, database, name, &digest(text)).await? {
            statements::check(text).map_err(|refused| {
                anyhow!("the init script `{name}:{}` {refused}", refused.line)
            })?;
        }
    }
    transaction.commit().await?;
    let mut applied = Vec::new();
    for (name, text) in texts {
        if notices::heard(name, apply_one(&mut sql, database, name, text)).await? {
            applied.push((*name).to_string());
        }
    }
    sql.close().await?;
    Ok(applied)
}

/// Only in transactions, and with statements without names: a connection pooler may give what follows one to another
/// session of the server, and this session to another client.
async fn begin(sql: &mut PgConnection) -> sqlx::Result<Transaction<'_, Postgres>> {
    let mut transaction = sql.begin().await?;
    let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).persistent(false);
    lock.execute(&mut *transaction).await?;
    Ok(transaction)
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

async fn is_new(
    sql: &mut PgConnection,
    database: &str,
    name: &str,
    digest: &str,
) -> anyhow::Result<bool> {
    let recorded = sqlx::query("select sha256 from wasm_host_init where path = $1")
        .bind(name)
        .persistent(false)
        .fetch_optional(sql)
        .await?
        .map(|row| row.try_get::<String, _>(0))
        .transpose()?;
    match recorded {
        Some(recorded) if recorded == digest => Ok(false),
        Some(_) => bail!(
            "the init script `{name}` has changed since it ran in the database `{database}`; put the \
             change into a new script, or, to start over, remove the state folder (for a database \
             with a url: its tables and the row of `{name}` in `wasm_host_init`)"
        ),
        None => Ok(true),
    }
}

/// The literals of a script are read as they were when it was checked.
const BEFORE: &str = "set standard_conforming_strings = on";

async fn apply_one(
    sql: &mut PgConnection,
    database: &str,
    name: &str,
    text: &str,
) -> anyhow::Result<bool> {
    let digest = digest(text);
    let mut transaction = begin(sql).await?;
    if !is_new(&mut transaction, database, name, &digest).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.execute(sqlx::raw_sql(BEFORE)).await?;
    run(&mut transaction, name, text).await?;
    // Dumps begin with settings. They are for the script, not for what comes after it.
    transaction.execute(sqlx::raw_sql(AssertSqlSafe(postgres::restored_session()))).await?;
    sqlx::query("insert into wasm_host_init (path, sha256) values ($1, $2)")
        .bind(name)
        .bind(&digest)
        .persistent(false)
        .execute(&mut *transaction)
        .await
        .with_context(|| format!("cannot record the init script `{name}`"))?;
    // Constraints may be checked only now.
    transaction.commit().await.map_err(|error| explain(name, text, usize::MAX, error))?;
    Ok(true)
}

async fn run(sql: &mut PgConnection, name: &str, text: &str) -> anyhow::Result<()> {
    let mut done = 0;
    let mut results = sql.fetch_many(sqlx::raw_sql(AssertSqlSafe(text.to_string())));
    while let Some(result) = results.next().await {
        match result {
            Ok(Either::Left(_)) => done += 1,
            // The driver does not give way while the server has more.
            Ok(Either::Right(_)) => yield_now().await,
            Err(error) => return Err(explain(name, text, done, error)),
        }
    }
    Ok(())
}

/// Name the file, the line and the server's code.
fn explain(name: &str, text: &str, done: usize, error: sqlx::Error) -> anyhow::Error {
    let error = match error {
        sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => error,
            Err(_) => return anyhow!("the init script `{name}` failed"),
        },
        error => {
            return anyhow::Error::new(error)
                .context(format!("the database went away during the init script `{name}`"));
        }
    };
    let line = match error.position() {
        Some(PgErrorPosition::Original(position)) => {
            Some(1 + text.chars().take(position.saturating_sub(1)).filter(|c| *c == '\n').count())
        }
        // Not every error has a position. Then it is the first statement that has no result.
        _ => statements::lines(text).get(done).copied(),
    };
    let place = line.map_or_else(|| name.to_string(), |line| format!("{name}:{line}"));
    let detail = error.detail().map_or(String::new(), |detail| format!(" ({detail})"));
    anyhow!(
        "the init script `{place}` failed with SQLSTATE {}: {}{detail}; nothing of it was kept",
        error.code(),
        error.message(),
    )
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    // One more than allowed tells a file that is too large from one that just fits.
    std::fs::File::open(path)
        .and_then(|file| file.take(limits::INIT_SCRIPT_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read init script {}", shown(path)))?;
    anyhow::ensure!(
        bytes.len() as u64 <= limits::INIT_SCRIPT_BYTES,
        "the init script {} is larger than {} bytes; load so much data with psql",
        shown(path),
        limits::INIT_SCRIPT_BYTES
    );
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow!("the init script {} is not UTF-8", shown(path)))?;
    // What editors and version control do to files must not make them other scripts.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n"))
}
