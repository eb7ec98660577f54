//! One database of the server and the role that logs in to it: made, and at each start put back into the state that the
//! host decides.
//!
//! Statements change what they own, for good: a component that owned its database could close it for every version
//! after it. So the role owns the schema and what it makes there, and the database is the administrator's. What a role
//! can still set for itself holds until the host starts again, unless an init script set it. It must not know what is
//! in the schema.

use anyhow::ensure;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::ADMINISTRATOR;
use wasm_host_capabilities::postgres::url::Address;

/// A database as the host wants it. Its role has the same name.
pub(super) struct Database<'a> {
    pub(super) name: &'a str,
    /// Hexadecimal digits.
    pub(super) password: &'a str,
    /// How many the role may have.
    pub(super) connections: u32,
}

/// What is set for a role or a database, as statements that set it again, and as statements that end it.
const SETTINGS: &str = "select coalesce(array_agg(set order by set), '{}'), \
    coalesce(array_agg(distinct whose || ' reset all'), '{}') from (select whose, \
    format(case when name in ('search_path', 'temp_tablespaces', 'local_preload_libraries', \
    'session_preload_libraries') then '%s set %I to %s' else '%s set %I to %L' end, whose, name, value) as set \
    from (select case when r.rolname is null then format('alter database %I', d.datname) \
    when d.datname is null then format('alter role %I', r.rolname) \
    else format('alter role %I in database %I', r.rolname, d.datname) end as whose, \
    split_part(one, '=', 1) as name, substr(one, strpos(one, '=') + 1) as value \
    from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase \
    left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) as one \
    where r.rolname = $1 or d.datname = $1) settings) statements";

/// What init scripts have set, where components cannot write.
const KEPT: &str = "create schema if not exists wasm_host; \
    create table if not exists wasm_host.settings (database text primary key, statements text[] not null)";

impl Database<'_> {
    /// Make what is missing, and undo what statements may have done to it. `login` gives the administrator's address
    /// of a database.
    pub(super) async fn prepare(&self, login: impl Fn(&str) -> Address) -> anyhow::Result<()> {
        ensure!(
            (1..=63).contains(&self.name.len())
                && self.name != ADMINISTRATOR
                && !self.name.starts_with("pg_"),
            "a database's name has 1 to 63 bytes, is not `{ADMINISTRATOR}` and does not start with \
             `pg_`"
        );
        let mut sql = PgConnection::connect_with(login("postgres").options()).await?;
        self.make(&mut sql).await?;
        self.restore_settings(&mut sql).await?;
        sql.close().await?;

        let mut sql = PgConnection::connect_with(login(self.name).options()).await?;
        // It belonged to the database's owner or to the administrator. Without it, there is nothing to give.
        let has_schema = "select from pg_catalog.pg_namespace where nspname = 'public'";
        if sql.fetch_optional(has_schema).await?.is_some() {
            let give = format!("alter schema public owner to {}", self.quoted());
            sql.execute(AssertSqlSafe(give)).await?;
        }
        sql.close().await?;
        Ok(())
    }

    async fn make(&self, sql: &mut PgConnection) -> anyhow::Result<()> {
        let Self { password, connections, .. } = self;
        let (name, owner) = (self.quoted(), ADMINISTRATOR);
        // The password is made of hexadecimal digits. It is set at each start, because the role may
        // be older than the folder's present secret.
        for (statement, exists) in [
            (format!("create role {name} login"), "42710"),
            (
                format!(
                    "alter role {name} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls \
                     connection limit {connections} password '{password}' valid until 'infinity'"
                ),
                "",
            ),
            (format!("create database {name}"), "42P04"),
            (format!("alter database {name} owner to {owner}"), ""),
            (
                format!(
                    "alter database {name} allow_connections true connection limit -1 is_template false"
                ),
                "",
            ),
            (format!("revoke all on database {name} from public"), ""),
            // `create` is for schemas and for the extensions that are trusted.
            (format!("grant connect, temporary, create on database {name} to {name}"), ""),
            ("revoke all on database postgres, template1 from public".to_string(), ""),
        ] {
            match sql.execute(AssertSqlSafe(statement)).await {
                Ok(_) => {}
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(exists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Leave of all settings those that init scripts made.
    async fn restore_settings(&self, sql: &mut PgConnection) -> anyhow::Result<()> {
        sql.execute(sqlx::raw_sql(KEPT)).await?;
        let kept = sqlx::query("select statements from wasm_host.settings where database = $1");
        let kept = kept.bind(self.name).fetch_optional(&mut *sql).await?;
        let kept: Vec<String> = kept.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
        let (set, resets) = self.settings(sql).await?;
        if set == kept {
            return Ok(());
        }
        tracing::warn!(
            database = self.name,
            "what its statements set for its role or for all of it is reset: {}",
            set.iter().filter(|set| !kept.contains(set)).cloned().collect::<Vec<_>>().join("; ")
        );
        for statement in resets.into_iter().chain(kept) {
            sql.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(())
    }

    /// Take the settings of now for those that are right: init scripts have run.
    pub(super) async fn keep_settings(&self, administrator: &Address) -> anyhow::Result<()> {
        let mut sql = PgConnection::connect_with(administrator.options()).await?;
        let (set, _) = self.settings(&mut sql).await?;
        sqlx::query(
            "insert into wasm_host.settings values ($1, $2) \
             on conflict (database) do update set statements = excluded.statements",
        )
        .bind(self.name)
        .bind(set)
        .execute(&mut sql)
        .await?;
        sql.close().await?;
        Ok(())
    }

    async fn settings(&self, sql: &mut PgConnection) -> sqlx::Result<(Vec<String>, Vec<String>)> {
        let row = sqlx::query(SETTINGS).bind(self.name).fetch_one(sql).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    fn quoted(&self) -> String {
        quoted(self.name)
    }
}

/// A name as statements have it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
