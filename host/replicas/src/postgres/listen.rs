//! Word of changes. It may be lost: what listens looks from time to time anyhow.

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::CHANNEL;
use wasm_host_limits::replicas as limits;

/// Wake `changed` whenever something of the application changed. Ends never.
pub(crate) async fn listen(options: PgConnectOptions, application: Arc<str>, changed: Arc<Notify>) {
    loop {
        // What goes wrong here is said by what reads and writes.
        if timeout(limits::LISTEN, hear(&options, &application, &changed)).await.is_ok() {
            sleep(limits::RETRY).await;
        }
    }
}

async fn hear(
    options: &PgConnectOptions,
    application: &str,
    changed: &Notify,
) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(limits::TRANSACTION)
        .connect_lazy_with(options.clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    while let Some(told) = listener.try_recv().await? {
        if told.payload() == application {
            changed.notify_one();
        }
    }
    Ok(())
}
