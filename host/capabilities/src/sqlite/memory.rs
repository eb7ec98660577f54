//! What SQLite allocates, counted for the connection that it is allocated for, and with it for the instance that has
//! opened that.
//!
//! SQLite has one bound for all that a program does with it, which one connection may take whole. Its driver has a
//! thread for each connection, so what that thread allocates is the connection's: rows on their way, what is sorted,
//! temporary tables, pages. Where there is no room, SQLite is told that there is no memory, which ends the statement and
//! nothing else. What is allocated on other threads counts for none, and what is freed there counts for the connection
//! that allocated it.

#![expect(unsafe_code, reason = "SQLite takes its memory from functions in C")]

use std::alloc::{self, Layout};
use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Arc, OnceLock};

use libsqlite3_sys as ffi;
use parking_lot::Mutex;

use crate::budget::{Exhausted, Holdings, Reservation};
use wasm_host_limits::sqlite::CONNECTION_BYTES;

/// What SQLite has for one connection.
pub(super) struct Memory(Mutex<State>);

struct State {
    used: usize,
    /// What it has beyond what each connection may have. None: it is no instance's.
    held: Option<Reservation>,
    /// Why there was no room.
    refused: Option<Exhausted>,
}

impl Memory {
    /// What is more than each connection may have is held for `account`. None: it is the host's own.
    pub(super) fn new(account: Option<&Holdings>) -> Arc<Self> {
        let held = account.map(Holdings::hold_nothing);
        Arc::new(Self(Mutex::new(State { used: 0, held, refused: None })))
    }

    /// Why there was no room since this was last asked.
    pub(super) fn refused(&self) -> Option<Exhausted> {
        self.0.lock().refused.take()
    }

    fn take(&self, bytes: usize) -> bool {
        let mut state = self.0.lock();
        let used = state.used.saturating_add(bytes);
        if let Some(held) = &mut state.held
            && let Err(exhausted) = held.resize(used.saturating_sub(CONNECTION_BYTES))
        {
            state.refused = Some(exhausted);
            return false;
        }
        state.used = used;
        true
    }

    fn give_back(&self, bytes: usize) {
        let mut state = self.0.lock();
        state.used = state.used.saturating_sub(bytes);
        let used = state.used;
        if let Some(held) = &mut state.held {
            // Less is never refused.
            let _ = held.resize(used.saturating_sub(CONNECTION_BYTES));
        }
    }
}

thread_local! {
    static OF_THREAD: RefCell<Option<Arc<Memory>>> = const { RefCell::new(None) };
}

/// From here to its end, what SQLite allocates on this thread is a connection's.
pub(super) fn count_thread(memory: &Arc<Memory>) {
    // A thread that ends allocates nothing that is worth counting.
    let _ = OF_THREAD.try_with(|own| {
        own.borrow_mut().get_or_insert_with(|| memory.clone());
    });
}

/// Have what SQLite allocates counted in this process. To be called before anything else is done with SQLite; only the
/// first call does something.
///
/// # Errors
/// SQLite was in use before.
pub fn count_memory() -> Result<(), &'static str> {
    static DONE: OnceLock<Result<(), &'static str>> = OnceLock::new();
    *DONE.get_or_init(configure)
}

fn configure() -> Result<(), &'static str> {
    let methods: *const ffi::sqlite3_mem_methods = &METHODS.0;
    // SAFETY: these two options take such a pointer, of which SQLite makes a copy, and an `int`. SQLite refuses them
    // once it is in use. Other threads that come here wait.
    let codes = unsafe {
        [
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, methods),
            // Its own count has a lock, for which connections would wait whose threads are less urgent than others.
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, c_int::from(false)),
        ]
    };
    match codes == [ffi::SQLITE_OK; 2] {
        true => Ok(()),
        false => Err("SQLite was in use before its memory could be counted"),
    }
}

/// The functions that SQLite takes its memory from.
struct Methods(ffi::sqlite3_mem_methods);

// SAFETY: nothing in it changes, and its pointer for data is null.
unsafe impl Sync for Methods {}

static METHODS: Methods = Methods(ffi::sqlite3_mem_methods {
    xMalloc: Some(allocate),
    xFree: Some(free),
    xRealloc: Some(reallocate),
    xSize: Some(size),
    xRoundup: Some(round_up),
    xInit: Some(begin),
    xShutdown: Some(end),
    pAppData: ptr::null_mut(),
});

/// Stands before each allocation.
struct Header {
    /// An `Arc` as a pointer. Null: it is no connection's.
    memory: *const Memory,
    bytes: usize,
}

/// With it, what stands behind has the alignment that SQLite asks for.
const HEADER: usize = size_of::<Header>();
const ALIGNMENT: usize = align_of::<Header>();

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(HEADER)?, ALIGNMENT).ok()
}

/// # Safety
/// `block` comes from [`allocate`] or [`reallocate`].
unsafe fn header(block: *mut c_void) -> *mut Header {
    // SAFETY: the header stands before what they return, in the same allocation.
    unsafe { block.byte_sub(HEADER) }.cast()
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    let Ok(bytes) = usize::try_from(bytes) else { return ptr::null_mut() };
    let Some(layout) = layout(bytes) else { return ptr::null_mut() };
    let memory = OF_THREAD.try_with(|own| own.borrow().clone()).ok().flatten();
    if memory.as_ref().is_some_and(|memory| !memory.take(bytes)) {
        return ptr::null_mut();
    }
    // SAFETY: there is a header in it, so that it is not of size zero.
    let begin = unsafe { alloc::alloc(layout) };
    if begin.is_null() {
        if let Some(memory) = memory {
            memory.give_back(bytes);
        }
        return ptr::null_mut();
    }
    let memory = memory.map_or(ptr::null(), Arc::into_raw);
    // SAFETY: it begins with room for a header, at an address for one.
    unsafe {
        begin.cast::<Header>().write(Header { memory, bytes });
        begin.add(HEADER).cast()
    }
}

unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: SQLite hands over what it was given, once.
    unsafe {
        let header = header(block);
        let Header { memory, bytes } = header.read();
        if !memory.is_null() {
            Arc::from_raw(memory).give_back(bytes);
        }
        if let Some(layout) = layout(bytes) {
            alloc::dealloc(header.cast(), layout);
        }
    }
}

unsafe extern "C" fn reallocate(block: *mut c_void, bytes: c_int) -> *mut c_void {
    let Ok(bytes) = usize::try_from(bytes) else { return ptr::null_mut() };
    // SAFETY: SQLite hands over what it was given, and uses it no more unless this returns null. What it counts for is
    // there for as long as its pointer is in the header.
    unsafe {
        let begin = header(block);
        let Header { memory, bytes: before } = begin.read();
        let (memory, more) = (memory.as_ref(), bytes.saturating_sub(before));
        let (Some(old), Some(new)) = (layout(before), layout(bytes)) else {
            return ptr::null_mut();
        };
        if memory.is_some_and(|memory| more > 0 && !memory.take(more)) {
            return ptr::null_mut();
        }
        let moved = alloc::realloc(begin.cast(), old, new.size()).cast::<Header>();
        let left = if moved.is_null() { more } else { before.saturating_sub(bytes) };
        if let Some(memory) = memory {
            memory.give_back(left);
        }
        if moved.is_null() {
            return ptr::null_mut();
        }
        (*moved).bytes = bytes;
        moved.byte_add(HEADER).cast()
    }
}

unsafe extern "C" fn size(block: *mut c_void) -> c_int {
    if block.is_null() {
        return 0;
    }
    // SAFETY: SQLite hands over what it was given.
    let bytes = unsafe { (*header(block)).bytes };
    // It was asked for as such a number.
    c_int::try_from(bytes).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.checked_add(7).map_or(c_int::MAX, |bytes| bytes & !7)
}

unsafe extern "C" fn begin(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn end(_: *mut c_void) {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::budget::Budget;

    /// A block of SQLite's, which may be freed by any thread.
    struct Block(*mut c_void);

    // SAFETY: nothing else has it.
    unsafe impl Send for Block {}

    impl Drop for Block {
        fn drop(&mut self) {
            // SAFETY: it is dropped once.
            unsafe { ffi::sqlite3_free(self.0) };
        }
    }

    fn block(bytes: usize) -> Option<Block> {
        // SAFETY: any number may be asked for.
        let block = unsafe { ffi::sqlite3_malloc64(bytes as u64) };
        (!block.is_null()).then_some(Block(block))
    }

    impl Block {
        fn resize(&mut self, bytes: usize) -> bool {
            // SAFETY: it is SQLite's own, and replaced where it was moved.
            let moved = unsafe { ffi::sqlite3_realloc64(self.0, bytes as u64) };
            if !moved.is_null() {
                self.0 = moved;
            }
            !moved.is_null()
        }
    }

    #[test]
    fn what_a_thread_allocates_counts_until_it_is_freed_anywhere() {
        count_memory().unwrap();
        // With its first block SQLite allocates what it needs itself.
        drop(block(1));
        let all = Budget::new(10_000);
        let holdings = Holdings::new(10_000, &all.share(10_000));
        let (memory, other) = (Memory::new(Some(&holdings)), Memory::new(None));
        let allocate = || {
            count_thread(&memory);
            // The first one stays.
            count_thread(&other);
            let mut kept = block(CONNECTION_BYTES).unwrap();
            assert_eq!(all.used(), 0);
            assert!(kept.resize(CONNECTION_BYTES + 6000));
            assert_eq!(all.used(), 6000);
            assert!(memory.refused().is_none());
            assert!(block(5000).is_none());
            assert!(!kept.resize(CONNECTION_BYTES + 11_000));
            assert!(memory.refused().is_some());
            assert_eq!(all.used(), 6000);
            drop(block(3000).unwrap());
            assert!(kept.resize(CONNECTION_BYTES + 1000));
            kept
        };
        let kept = thread::scope(|scope| scope.spawn(allocate).join().unwrap());
        assert_eq!(all.used(), 1000);
        drop(kept);
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn a_block_has_the_bytes_that_were_asked_for_where_sqlite_may_use_them() {
        count_memory().unwrap();
        for bytes in [1, 7, 8, 1000] {
            let block = block(bytes).unwrap();
            assert!(block.0.addr().is_multiple_of(8));
            // SAFETY: so many bytes are the block's.
            unsafe {
                assert!(ffi::sqlite3_msize(block.0) >= bytes as u64);
                ptr::write_bytes(block.0.cast::<u8>(), 7, bytes);
            }
        }
    }
}
