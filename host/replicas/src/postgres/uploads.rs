//! Components on their way from one replica to the others, those that come later included: files that were uploaded to
//! one replica, and what one got from a registry.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Away, connect, parsed};
use crate::protocol::Shared;
use wasm_host_limits::replicas as limits;

/// By digest.
#[derive(Clone)]
pub struct Uploads {
    options: PgConnectOptions,
    application: Arc<str>,
    /// Told of each that is there now.
    put: Arc<Notify>,
    /// A host of many services, which all catch up at once, takes no more of the connections that there are.
    moves: Arc<Semaphore>,
}

impl Uploads {
    pub(crate) fn new(options: PgConnectOptions, application: Arc<str>) -> Self {
        let moves = Arc::new(Semaphore::new(limits::MOVES));
        Self { options, application, put: Arc::default(), moves }
    }

    /// Let the other replicas have a component.
    ///
    /// # Errors
    /// It is too large, or the database is away.
    pub async fn put(&self, digest: &str, bytes: &[u8]) -> Result<(), Away> {
        if bytes.len() as u64 > limits::COMPONENT_BYTES {
            let most = limits::COMPONENT_BYTES >> 20;
            return Err(Away::new(format_args!(
                "takes components of at most {most} MiB, and this one has {} bytes: push it to a registry",
                bytes.len()
            )));
        }
        self.moved(async {
            let connection = &mut self.connection().await?;
            let is_there = sqlx::query(
                "update wasm_host.components set put_ms = wasm_host.now_ms() \
                 where application = $1 and digest = $2 and length(bytes) = $3",
            );
            let is_there = is_there
                .bind(&*self.application)
                .bind(digest)
                .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                .execute(&mut *connection)
                .await?;
            if is_there.rows_affected() > 0 {
                return Ok(());
            }
            sqlx::query(
                "insert into wasm_host.components (application, digest, bytes, put_ms) \
                 values ($1, $2, $3, wasm_host.now_ms()) on conflict (application, digest) \
                 do update set put_ms = excluded.put_ms, bytes = excluded.bytes",
            )
            .bind(&*self.application)
            .bind(digest)
            .bind(bytes)
            .execute(&mut *connection)
            .await?;
            self.put.notify_one();
            Ok(())
        })
        .await
    }

    /// A component, if it is there and is what its digest says.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get(&self, digest: &str) -> Result<Option<Vec<u8>>, Away> {
        let row = self.moved(async {
            let query = sqlx::query(
                "select bytes from wasm_host.components where application = $1 and digest = $2",
            );
            let mut connection = self.connection().await?;
            let query = query.bind(&*self.application).bind(digest);
            Ok(query.fetch_optional(&mut connection).await?)
        });
        let Some(row) = row.await? else { return Ok(None) };
        let bytes: Vec<u8> = row.try_get(0)?;
        let digest = digest.to_owned();
        // Of a large one it takes a while.
        let checked = spawn_blocking(move || {
            (hex::encode(Sha256::digest(&bytes)) == digest).then_some(bytes)
        });
        checked.await.map_err(Away::new)
    }

    /// Remove what is of no use, again and again. Ends never.
    pub(crate) async fn tidy_always(&self) {
        loop {
            let _ = timeout(limits::TIDY, self.put.notified()).await;
            // What is left is removed the next time, or by another replica.
            let _ = self.tidy().await;
        }
    }

    /// Remove what no replica can want any more, and of what is wanted by no swap yet what is old or too much.
    ///
    /// Never where the row of the application is locked, as large components take seconds, and one at a time.
    pub(super) async fn tidy(&self) -> Result<(), Away> {
        self.moved(async {
            let connection = &mut self.connection().await?;
            while self.remove_one(connection).await? {}
            Ok(())
        })
        .await
    }

    /// False: there was none to remove.
    async fn remove_one(&self, connection: &mut PgConnection) -> Result<bool, Away> {
        let row = sqlx::query("select state::text from wasm_host.applications where name = $1");
        let row = row.bind(&*self.application).fetch_optional(&mut *connection).await?;
        let shared = match row {
            Some(row) => parsed(row.try_get::<&str, _>(0)?)?,
            None => Shared::default(),
        };
        let wanted: Vec<String> = shared.wanted().map(str::to_owned).collect();
        let kept = i64::try_from(limits::COMPONENT_KEPT.as_millis()).unwrap_or(i64::MAX);
        // Another replica may be at it.
        let removed = sqlx::query(
            "delete from wasm_host.components where (application, digest) in ( \
             select application, digest from wasm_host.components \
             where application = $1 and not (digest = any($2)) \
             and (put_ms < wasm_host.now_ms() - $3 or digest not in ( \
                 select digest from wasm_host.components where application = $1 \
                 and not (digest = any($2)) order by put_ms desc limit $4)) \
             limit 1 for update skip locked)",
        );
        let removed = removed.bind(&*self.application).bind(wanted).bind(kept);
        let removed = removed.bind(i64::from(limits::COMPONENTS_WAITING));
        Ok(removed.execute(connection).await?.rows_affected() > 0)
    }

    /// A database that hangs is noticed sooner than a large component is moved.
    async fn connection(&self) -> Result<PgConnection, Away> {
        let late = |_| Away::new(format_args!("does not answer within {:?}", limits::TRANSACTION));
        timeout(limits::TRANSACTION, connect(&self.options)).await.map_err(late)?
    }

    async fn moved<T>(&self, work: impl Future<Output = Result<T, Away>>) -> Result<T, Away> {
        let took_too_long = |_| Away::new("does not take or give a component in time");
        // It is never closed.
        let turn = timeout(limits::COMPONENT_MOVE, self.moves.acquire()).await;
        let _turn = turn.map_err(took_too_long)?;
        timeout(limits::COMPONENT_MOVE, work).await.map_err(took_too_long)?
    }
}
