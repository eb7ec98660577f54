//! What was collected, told by a process that asks while no host runs, in the words of the control plane.

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::super::services::are_known;
use super::{QueryWords, read};
use wasm_host_collector::Reader;
use wasm_host_service::failure::{Failure, Kind};

/// What a host that has ended kept.
pub struct StoppedHost {
    reader: Reader,
    services: BTreeSet<String>,
}

impl StoppedHost {
    /// `services` are those of the application: nothing may be kept of one.
    pub fn new(reader: Reader, services: BTreeSet<String>) -> Self {
        Self { reader, services }
    }

    /// The JSON that `GET /api/STEPS?QUERY` answers. Recordings are the host's.
    ///
    /// # Errors
    /// Why the host would refuse, in words for people.
    pub async fn answer(&self, steps: &[&str], query: &str) -> Result<Bytes, String> {
        self.read(steps, query).await.map_err(|failure| failure.public.to_string())
    }

    async fn read(&self, steps: &[&str], query: &str) -> Result<Bytes, Failure> {
        are_known(&self.services, &self.reader, Some(query)).await?;
        let answered =
            read(&self.reader, |_| None, steps, QueryWords::of(Some(query))?, None).await?;
        let Some(answered) = answered else {
            return Err(Failure::new(Kind::NoRoute, "This only a host that runs can tell."));
        };
        // It is whole, and in memory.
        let body = answered.into_body().collect().await;
        Ok(body.map(|body| body.to_bytes()).unwrap_or_default())
    }
}
