//! Header sets, and the requests and answers that carry them, as what the host holds for a guest.
//!
//! They live in the host's memory, some hundred bytes for a handle or two of the guest's. The library bounds each by
//! itself and has no hook for them, so the functions by which they grow are replaced: they note by how much a set
//! may have grown, do what the library's do, and count all of them once that adds up. So a request with a few headers
//! costs an addition for each. It must not know what else is in the table.

mod link;

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{FieldMap, p2, p3};

use crate::budget::{Exhausted, Holdings, Reservation};
use wasm_host_limits as limits;

pub use link::add_to_linker;

/// What is held of header sets, as it was last counted.
#[derive(Debug)]
pub struct Tally {
    held: Reservation,
    /// What may have come since.
    grown: usize,
}

/// What the linked functions need of a store beside its table.
pub struct TallyView<'a> {
    pub tally: &'a mut Tally,
    pub table: &'a mut ResourceTable,
}

impl Tally {
    pub fn new(holdings: &Holdings) -> Self {
        Self { held: holdings.hold_nothing(), grown: 0 }
    }

    /// What is in the table may have grown by this many bytes.
    pub fn grow(&mut self, table: &mut ResourceTable, bytes: usize) -> Result<(), Exhausted> {
        self.grown = self.grown.saturating_add(bytes);
        // What was counted is held with a part on top, so that counting costs a part of what made it necessary.
        let room = limits::held::GUEST_UNCOUNTED_BYTES + self.held.bytes() / PART;
        if self.grown <= room { Ok(()) } else { self.count(table) }
    }

    /// Count what is in the table.
    pub fn count(&mut self, table: &mut ResourceTable) -> Result<(), Exhausted> {
        let bytes: usize = table.iter_mut().map(|entry| resource_bytes(entry)).sum();
        self.held.resize(bytes.saturating_add(bytes / PART))?;
        self.grown = 0;
        Ok(())
    }
}

/// The part by which sets may grow before they are counted again.
const PART: usize = 4;

/// Bytes of an entry of a table of headers, with its place in the index: twice what it has, because the table doubles
/// when it is full.
const HEADER_BYTES: usize = 2 * 128;

/// Bytes of an entry of the table of resources, and of the smallest thing that may be in it.
const RESOURCE_BYTES: usize = 512;

/// What a body of WASI 0.2 may have waiting: pieces in its channel, which has room for one more than was asked for.
const BODY_BYTES: usize = 2 * limits::GUEST_BODY_BYTES;

/// Bytes that a header set has in memory, or a little more.
pub fn head_bytes(headers: &HeaderMap) -> usize {
    let names: usize = headers.keys().map(|name| name.as_str().len()).sum();
    let values: usize = headers.values().map(|value| value.len()).sum();
    headers.len() * HEADER_BYTES + names + values
}

/// Bytes of a request on its way, with the piece of its body that is being sent.
pub fn sent_bytes(headers: &HeaderMap) -> usize {
    limits::held::GUEST_CALL_OWN_BYTES + BODY_BYTES + head_bytes(headers)
}

fn resource_bytes(entry: &(dyn std::any::Any + Send)) -> usize {
    let with_body =
        |headers: &FieldMap, body: bool| head_bytes(headers) + if body { BODY_BYTES } else { 0 };
    let bytes = if let Some(headers) = entry.downcast_ref::<FieldMap>() {
        head_bytes(headers)
    } else if let Some(request) = entry.downcast_ref::<p3::Request>() {
        head_bytes(&request.headers)
    } else if let Some(response) = entry.downcast_ref::<p3::Response>() {
        head_bytes(&response.headers)
    } else if let Some(request) = entry.downcast_ref::<p2::types::HostOutgoingRequest>() {
        with_body(&request.headers, request.body.is_some())
    } else if let Some(response) = entry.downcast_ref::<p2::types::HostOutgoingResponse>() {
        with_body(&response.headers, response.body.is_some())
    } else if let Some(response) = entry.downcast_ref::<p2::types::HostIncomingResponse>() {
        head_bytes(&response.headers)
    } else {
        0
    };
    RESOURCE_BYTES + bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    fn headers(values: usize, bytes: usize) -> FieldMap {
        let mut headers = FieldMap::new_mutable(limits::GUEST_FIELDS_BYTES);
        for value in 0..values {
            let value = vec![b'a' + (value % 8) as u8; bytes];
            headers.append_raw("x-large".parse().unwrap(), value.try_into().unwrap()).unwrap();
        }
        headers
    }

    #[test]
    fn header_sets_count_once_they_add_up_and_no_more_when_they_are_gone() {
        let service = Budget::new(usize::MAX).share(usize::MAX);
        let holdings = Holdings::new(4 * 1024 * 1024, &service);
        let mut tally = Tally::new(&holdings);
        let mut table = ResourceTable::new();
        // As many as some requests have.
        table.push(headers(8, 100)).unwrap();
        tally.grow(&mut table, 8 * 100).unwrap();
        assert_eq!(holdings.used(), 0, "a few headers cost an addition and no more");

        let mut kept = Vec::new();
        let refused = loop {
            kept.push(table.push(headers(50, 2000)).unwrap());
            if let Err(refused) = tally.grow(&mut table, 50 * 2000) {
                break refused;
            }
        };
        assert!(refused.to_string().contains("'memory' sets the bound"), "{refused}");
        let bytes = kept.len() * 50 * 2000;
        assert!((2 * 1024 * 1024..=5 * 1024 * 1024).contains(&bytes), "{bytes} bytes were taken");

        for headers in kept {
            table.delete(headers).unwrap();
        }
        tally.grow(&mut table, 10 * 1024 * 1024).unwrap();
        assert!(holdings.used() < 10 * 1024, "{} bytes are held", holdings.used());
        drop(tally);
        assert_eq!((holdings.used(), service.used()), (0, 0));
    }

    #[test]
    fn a_copy_counts_as_much_as_what_it_was_made_from() {
        let holdings = Holdings::new(1024 * 1024, &Budget::new(usize::MAX));
        let mut tally = Tally::new(&holdings);
        let mut table = ResourceTable::new();
        let set = headers(50, 2000);
        let copies = (0..100).take_while(|_| {
            table.push(set.clone()).unwrap();
            tally.grow(&mut table, head_bytes(&set)).is_ok()
        });
        let most = 1024 * 1024 + limits::held::GUEST_UNCOUNTED_BYTES;
        let bytes = copies.count() * head_bytes(&set);
        assert!((most / 2..=most).contains(&bytes), "{bytes} bytes were taken");
    }
}
