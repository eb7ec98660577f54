//! Putting components together in a process of its own, which reads them instead of the host: a few kilobytes can exhaust
//! the stack of what reads them, or make it compare names for hours.

use std::os::unix::process::ExitStatusExt as _;

use anyhow::{Context as _, Error, Result, anyhow};
use rustix::process::Signal;
use tokio::time::timeout;

use super::{Compiler, blocking, run};
use crate::compile::ComponentFile;
use crate::compile::composer::{Given, MOST, Told};
use crate::compose::{At, Composed, Faults, Part, called, check_bounds, finished};
use wasm_host_limits as limits;
use wasm_host_limits::compiler::COMPOSITION_DEADLINE_FACTOR;
use wasm_host_log::tell_if_long_async;

impl Compiler {
    /// Make one component of parts: first the middleware, the outermost first, then the service, then what serves
    /// imports. Given up when it is dropped. It is less urgent by `niceness`, in the steps of `nice`.
    ///
    /// # Errors
    /// [`Faults`], which are all that is wrong with them; or it took more time or memory than it may.
    pub async fn compose(&self, parts: Vec<Part>, niceness: i32) -> Result<ComponentFile> {
        check_bounds(&parts)?;
        let (given, bytes) = Given::of(&parts)?;
        let header = serde_json::to_vec(&given)?;
        let length = (header.len() as u64).to_le_bytes();
        let pieces = [&length[..], &header].into_iter().chain(bytes.iter().map(|bytes| &**bytes));
        let pieces: Vec<&[u8]> = pieces.collect();
        let _place = self.places.acquire().await?;
        let within = limits::COMPOSITION_TIMEOUT;
        let mut command = self.command(within, niceness);
        command.arg("--compose");
        let deadline = within.saturating_mul(COMPOSITION_DEADLINE_FACTOR);
        let running = timeout(deadline, run(command, &pieces, MOST));
        let name = called(&parts);
        let what = format!("putting {name} together");
        let Ok(ended) = tell_if_long_async(&what, running).await else {
            return Err(anyhow!("{name} is not put together after {deadline:?}"));
        };
        let ended = ended.context("what puts components together does not start")?;
        if ended.status.signal() == Some(Signal::XCPU.as_raw()) {
            return Err(anyhow!("{name} is not put together within {within:?} of processor time"));
        }
        if ended.status.code() != Some(0) {
            return Err(self.verdict(&ended, &name, "put together"));
        }
        // The digest of a large one takes a while.
        blocking(move || read(parts, &ended.output)).await
    }
}

fn read(parts: Vec<Part>, output: &[u8]) -> Result<ComponentFile> {
    let told = Told::read(output).with_context(|| format!("{} makes too much", called(&parts)))?;
    let Composed { bytes, imports } = told.map_err(Error::new)?;
    let most = limits::COMPONENT_FILE_BYTES;
    if bytes.len() as u64 > most {
        let what = format!("what comes of its parts has more than {most} bytes");
        return Err(Faults::of(At::Whole, what).into());
    }
    Ok(finished(parts, imports, bytes)?)
}
