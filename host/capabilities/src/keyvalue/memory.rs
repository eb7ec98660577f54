//! A bucket in the memory of the host: bounded, and empty again after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::backend::{Bucket, Error, Page, Reply, Value};
use super::run::Runs;
use super::{bounds, increment};
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use wasm_host_limits::keyvalue::{ENTRY_BYTES, PAGE_KEYS};

pub(super) struct MemoryBucket {
    runs: Runs,
    entries: Mutex<Entries>,
    limit: u64,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Arc<str>, Entry>,
    /// In the order in which they came, which a list goes by.
    by_id: BTreeMap<u64, Arc<str>>,
    next: u64,
    bytes: u64,
}

struct Entry {
    id: u64,
    value: Arc<[u8]>,
}

/// There is no room.
struct NoRoom;

impl Entries {
    fn get(&self, key: &str) -> Option<&Arc<[u8]>> {
        self.by_key.get(key).map(|entry| &entry.value)
    }

    /// Set a value, within so many bytes of all entries.
    fn set(&mut self, key: &str, value: Arc<[u8]>, limit: u64) -> Result<(), NoRoom> {
        let before = self.by_key.get(key).map_or(0, |entry| cost(key, entry.value.len()));
        let bytes = (self.bytes - before).saturating_add(cost(key, value.len()));
        if bytes > limit {
            return Err(NoRoom);
        }
        self.bytes = bytes;
        if let Some(entry) = self.by_key.get_mut(key) {
            entry.value = value;
            return Ok(());
        }
        let (key, id) = (Arc::<str>::from(key), self.next);
        self.next += 1;
        self.by_id.insert(id, key.clone());
        self.by_key.insert(key, Entry { id, value });
        Ok(())
    }

    fn delete(&mut self, key: &str) {
        if let Some(entry) = self.by_key.remove(key) {
            self.by_id.remove(&entry.id);
            self.bytes -= cost(key, entry.value.len());
        }
    }

    fn set_all(&mut self, entries: BTreeMap<String, Arc<[u8]>>, limit: u64) -> Result<(), NoRoom> {
        let sum = |cost: &mut dyn Iterator<Item = u64>| cost.fold(0, u64::saturating_add);
        let before = entries.keys().filter_map(|key| Some(cost(key, self.get(key)?.len())));
        let before = sum(&mut before.into_iter());
        let after = sum(&mut entries.iter().map(|(key, value)| cost(key, value.len())));
        if (self.bytes - before).saturating_add(after) > limit {
            return Err(NoRoom);
        }
        // Each has room now, in whatever order they come.
        entries.into_iter().try_for_each(|(key, value)| self.set(&key, value, u64::MAX))
    }

    fn page(&self, cursor: Option<u64>) -> Page {
        let mut left = self.by_id.range(cursor.unwrap_or_default()..);
        let keys = left.by_ref().take(PAGE_KEYS).map(|(_, key)| key.to_string()).collect();
        Page { keys, cursor: left.next().map(|(id, _)| *id) }
    }
}

/// Bytes that an entry takes, about.
fn cost(key: &str, value: usize) -> u64 {
    (2 * key.len() + value + ENTRY_BYTES) as u64
}

impl MemoryBucket {
    pub(super) fn new(runs: Runs, limit: u64) -> Self {
        Self { runs, entries: Mutex::default(), limit }
    }

    fn full(&self, _: NoRoom) -> Error {
        let (name, limit) = (self.runs.name(), self.limit);
        Error::Full(format!(
            "with this the bucket {name} would take more than {limit} bytes ('size' of [keyvalue.{name}] sets the bound)"
        ))
    }

    /// What is under a key. It is copied outside of the lock.
    fn find(&self, key: &str) -> Option<Arc<[u8]>> {
        self.entries.lock().get(key).cloned()
    }
}

/// A value on its way to a guest.
fn given(value: &Arc<[u8]>) -> Result<Value, Error> {
    hold_for_call(value.len()).map_err(|exhausted| Error::Busy(exhausted.to_string()))?;
    Ok(Value(value.to_vec()))
}

impl Bucket for MemoryBucket {
    fn get(&self, key: String, request: RequestContext) -> Reply<'_, Option<Value>> {
        self.runs.run(
            "get",
            1,
            request,
            async move { self.find(&key).as_ref().map(given).transpose() },
        )
    }

    fn set(&self, key: String, Value(value): Value, request: RequestContext) -> Reply<'_, ()> {
        self.runs.run("set", 1, request, async move {
            // Copied here, and not while all others wait for the lock.
            let value = value.into();
            let set = self.entries.lock().set(&key, value, self.limit);
            set.map_err(|none| self.full(none))
        })
    }

    fn delete(&self, key: String, request: RequestContext) -> Reply<'_, ()> {
        self.runs.run("delete", 1, request, async move {
            self.entries.lock().delete(&key);
            Ok(())
        })
    }

    fn exists(&self, key: String, request: RequestContext) -> Reply<'_, bool> {
        self.runs.run("exists", 1, request, async move {
            Ok(self.entries.lock().by_key.contains_key(&*key))
        })
    }

    fn list_keys(&self, cursor: Option<u64>, request: RequestContext) -> Reply<'_, Page> {
        self.runs.run("list-keys", 0, request, async move { Ok(self.entries.lock().page(cursor)) })
    }

    fn increment(&self, key: String, delta: i64, request: RequestContext) -> Reply<'_, i64> {
        self.runs.run("increment", 1, request, async move {
            let mut entries = self.entries.lock();
            let sum = increment::sum(entries.get(&key).map(|value| &**value), delta)?;
            let set = entries.set(&key, sum.to_string().into_bytes().into(), self.limit);
            set.map(|()| sum).map_err(|none| self.full(none))
        })
    }

    fn swap(
        &self,
        key: String,
        expected: Option<Value>,
        Value(value): Value,
        request: RequestContext,
    ) -> Reply<'_, bool> {
        self.runs.run("swap", 1, request, async move {
            let value = value.into();
            let mut entries = self.entries.lock();
            let found = entries.get(&key).map(|found| &**found);
            if found != expected.as_ref().map(|Value(expected)| &**expected) {
                return Ok(false);
            }
            let set = entries.set(&key, value, self.limit);
            set.map(|()| true).map_err(|none| self.full(none))
        })
    }

    fn get_many(
        &self,
        keys: Vec<String>,
        request: RequestContext,
    ) -> Reply<'_, Vec<Option<Value>>> {
        self.runs.run("get-many", keys.len(), request, async move {
            let found: Vec<_> = {
                let entries = self.entries.lock();
                keys.iter().map(|key| entries.get(key).cloned()).collect()
            };
            let bytes: usize = found.iter().flatten().map(|value| value.len()).sum();
            bounds::batch_bytes(bytes as u64)?;
            found.iter().map(|value| value.as_ref().map(given).transpose()).collect()
        })
    }

    fn set_many(&self, entries: Vec<(String, Value)>, request: RequestContext) -> Reply<'_, ()> {
        self.runs.run("set-many", entries.len(), request, async move {
            let entries = entries.into_iter().map(|(key, Value(value))| (key, value.into()));
            // As above.
            let entries = entries.collect();
            let set = self.entries.lock().set_all(entries, self.limit);
            set.map_err(|none| self.full(none))
        })
    }

    fn delete_many(&self, keys: Vec<String>, request: RequestContext) -> Reply<'_, ()> {
        self.runs.run("delete-many", keys.len(), request, async move {
            let mut entries = self.entries.lock();
            keys.iter().for_each(|key| entries.delete(key));
            Ok(())
        })
    }
}
