//! What the process that puts components together is given, and what it hands over: each is a length, so much JSON, and
//! bytes of components.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::compose::{Composed, Faults, Part, put_together};
use wasm_host_limits::COMPONENT_FILE_BYTES;
use wasm_host_limits::compiler::PUT_TOGETHER_BYTES;

/// Bytes that it may hand over: one more than a component may have, to see that there is more.
pub(super) const MOST: usize = PREFIX + PUT_TOGETHER_BYTES + COMPONENT_FILE_BYTES as usize + 1;

/// Of the length.
const PREFIX: usize = size_of::<u64>();

/// The parts without their bytes, and how many each has.
#[derive(Serialize, Deserialize)]
pub(super) struct Given {
    parts: Vec<Part>,
    lengths: Vec<usize>,
}

impl Given {
    /// # Errors
    /// A part has no bytes.
    pub(super) fn of(parts: &[Part]) -> Result<(Self, Vec<Arc<[u8]>>)> {
        let bytes = parts.iter().map(|part| {
            let bytes = part.bytes.clone();
            bytes.with_context(|| format!("the file of {} is not there", part.path))
        });
        let bytes = bytes.collect::<Result<Vec<_>>>()?;
        let lengths = bytes.iter().map(|bytes| bytes.len()).collect();
        Ok((Self { parts: parts.to_vec(), lengths }, bytes))
    }
}

/// What it hands over: what each part imports and no other serves, before the component; or all that is wrong.
#[derive(Serialize, Deserialize)]
pub(super) struct Told(Result<Vec<Vec<String>>, Faults>);

impl Told {
    /// # Errors
    /// It is more than can be, or none.
    pub(super) fn read(output: &[u8]) -> Result<Result<Composed, Faults>> {
        let (header, component) = split(output)?;
        if header.len() > PUT_TOGETHER_BYTES {
            bail!("more is said of its parts than {PUT_TOGETHER_BYTES} bytes");
        }
        let Self(told) = serde_json::from_slice(header)?;
        Ok(told.map(|imports| Composed { bytes: component.to_vec(), imports }))
    }
}

/// Put together what the input has, and say what came of it.
///
/// # Errors
/// The input cannot be read. What is wrong with the parts is no error here.
pub(super) fn run(input: &[u8]) -> Result<Vec<u8>> {
    let (header, mut rest) = split(input)?;
    let Given { mut parts, lengths } = serde_json::from_slice(header)?;
    for (part, length) in parts.iter_mut().zip(lengths) {
        let (bytes, after) = rest.split_at_checked(length).context("half of a part is missing")?;
        part.bytes = Some(bytes.into());
        rest = after;
    }
    let (told, component) = match put_together(&parts) {
        Ok(Composed { bytes, imports }) => (Ok(imports), bytes),
        Err(faults) => (Err(faults), Vec::new()),
    };
    let header = serde_json::to_vec(&Told(told))?;
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length[..], &header, &component].concat())
}

/// The JSON, and what follows it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<PREFIX>().context("there is no length")?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    rest.split_at_checked(length).context("it is cut short")
}
