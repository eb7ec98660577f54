//! The schema `wasm_host`, which replicas make themselves. One of them at a time: they start together.

use sqlx::postgres::PgConnection;
use sqlx::{Row as _, raw_sql};

use super::Away;

/// Counts up with every change of what is in the schema, or of how it is read. What changes it has to lock the table of
/// the applications first: what reads a row, or writes it, sees the version with it.
const VERSION: i32 = 1;

/// Any number that nothing else takes: the word in ASCII.
const LOCK: i64 = i64::from_be_bytes(*b"wasmhost");

const FIRST: &str = "
create table wasm_host.schema_version (version integer not null);
insert into wasm_host.schema_version values (1);
create table wasm_host.applications (
    name text primary key, state jsonb not null, leases jsonb not null default '{}',
    revision bigint not null default 0
);
create table wasm_host.components (
    application text not null, digest text not null, bytes bytea not null, put_ms bigint not null,
    primary key (application, digest)
);
create function wasm_host.now_ms() returns bigint language sql volatile as
    'select (extract(epoch from clock_timestamp()) * 1000)::bigint';
";

/// Make the schema, if it is not there.
pub(super) async fn bring_up(connection: &mut PgConnection) -> Result<(), Away> {
    if version(connection).await?.is_none() {
        raw_sql("begin").execute(&mut *connection).await?;
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .execute(&mut *connection)
            .await?;
        if version(connection).await?.is_none() {
            // An account that may make tables in it need not be one that may make it.
            let there = sqlx::query(
                "select exists (select from pg_catalog.pg_namespace where nspname = 'wasm_host')",
            );
            if !there.fetch_one(&mut *connection).await?.try_get::<bool, _>(0)? {
                raw_sql("create schema wasm_host").execute(&mut *connection).await?;
            }
            raw_sql(FIRST).execute(&mut *connection).await?;
        }
        raw_sql("commit").execute(&mut *connection).await?;
    }
    is_known(version(connection).await?)
}

/// Whether this host may read what is there, and write it.
pub(super) fn is_known(version: Option<i32>) -> Result<(), Away> {
    match version {
        Some(VERSION) => Ok(()),
        Some(other) => Err(Away::new(format_args!(
            "has version {other} of the schema wasm_host, and this host knows version {VERSION}: \
             run hosts of one version, or give them databases of their own"
        ))),
        None => Err(Away::new("has no schema wasm_host, and it cannot be made")),
    }
}

/// None: there is no schema yet.
async fn version(connection: &mut PgConnection) -> Result<Option<i32>, Away> {
    // `to_regclass` would answer from what the session remembers, though another one has made it meanwhile.
    let there = sqlx::query(
        "select exists (select from pg_catalog.pg_tables \
         where schemaname = 'wasm_host' and tablename = 'schema_version')",
    );
    if !there.fetch_one(&mut *connection).await?.try_get::<bool, _>(0)? {
        return Ok(None);
    }
    let version = sqlx::query("select max(version) from wasm_host.schema_version");
    Ok(version.fetch_one(connection).await?.try_get(0)?)
}
