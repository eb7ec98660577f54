//! The words for the weather, from the granted database.

use wasm_host_guest::postgres::client;
use wasm_host_guest::postgres::types::{Error, Scalar, Value};

const STATEMENT: &str = "select summary from weathersummaries";

/// All summaries, or why they could not be read to their end.
pub(crate) async fn read() -> Result<Vec<String>, Error> {
    let (_columns, mut batches, done) = client::query(STATEMENT.to_string(), Vec::new()).await?;
    let mut summaries = Vec::new();
    while let Some(batch) = batches.next().await {
        for value in batch.into_iter().flatten() {
            match value {
                Value::Scalar(Scalar::Text(summary)) => summaries.push(summary),
                Value::Null => {}
                // Passed over, a wrong table would look like an empty one.
                _ => return Err(Error::Unsupported("the column `summary` is no text".to_string())),
            }
        }
    }
    // Rows that stopped coming may be all of them, or not: only this tells.
    done.await?;
    Ok(summaries)
}
