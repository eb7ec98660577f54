//! What statements of a component may not do: reach other files of the machine, or take its memory.
//!
//! SQLite itself judges, while it reads a statement, so that there is no way around by how that is written.

#![expect(unsafe_code, reason = "the driver has no call for SQLite's authorizer and limits")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use libsqlite3_sys as ffi;
use sqlx::sqlite::LockedSqliteHandle;

use super::memory::{Memory, count_thread};
use wasm_host_limits::sqlite as limits;

/// What a component may ask or set by `pragma`. Others reach for memory, for files, or for what bounds the database.
const PRAGMAS: &[&str] = &[
    "application_id",
    "case_sensitive_like",
    "collation_list",
    "compile_options",
    "data_version",
    "defer_foreign_keys",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "ignore_check_constraints",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "optimize",
    "page_count",
    "page_size",
    "quick_check",
    "recursive_triggers",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// Those of them that are asked and not set.
const ONLY_ASKED: &[&str] = &["encoding", "page_size", "schema_version"];

/// What the memory of a connection is called among the data that SQLite keeps for it.
const MEMORY: &CStr = c"wasm-host:memory";

/// From its next statement on, have what the connection's thread allocates count for it.
///
/// # Errors
/// There is no memory left.
pub(super) fn count(
    connection: &mut LockedSqliteHandle<'_>,
    memory: Arc<Memory>,
) -> Result<(), &'static str> {
    let database = connection.as_raw_handle().as_ptr();
    let memory = Arc::into_raw(memory).cast_mut().cast::<c_void>();
    // SAFETY: the handle is locked, so that its database is open and nothing else uses it. SQLite gives the memory to
    // its destructor when the database is closed, after the last statement, or at once if it cannot keep it.
    unsafe {
        if ffi::sqlite3_set_clientdata(database, MEMORY.as_ptr(), memory, Some(forget))
            != ffi::SQLITE_OK
        {
            return Err("out of memory");
        }
        ffi::sqlite3_set_authorizer(database, Some(allow), memory);
    }
    Ok(())
}

unsafe extern "C" fn forget(memory: *mut c_void) {
    // SAFETY: it is what `count` made of an `Arc`, and comes here once.
    drop(unsafe { Arc::from_raw(memory.cast::<Memory>()) });
}

/// All that the host itself wants of a connection. Asked on the thread of the connection, as [`authorize`] is.
unsafe extern "C" fn allow(
    memory: *mut c_void,
    _: c_int,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    // SAFETY: as for `authorize`.
    unsafe { enter(memory) };
    ffi::SQLITE_OK
}

/// # Safety
/// It is null, or what `count` made of an `Arc`, of a connection that is open.
unsafe fn enter(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    let memory = memory.cast_const().cast::<Memory>();
    // SAFETY: the connection has one, so that there may be one more.
    let memory = unsafe {
        Arc::increment_strong_count(memory);
        Arc::from_raw(memory)
    };
    count_thread(&memory);
}

/// Put a connection under guard. What it was told before stays.
pub(super) fn guard(connection: &mut LockedSqliteHandle<'_>) {
    let length = c_int::try_from(limits::VALUE_BYTES).unwrap_or(c_int::MAX);
    let columns = c_int::try_from(limits::COLUMNS).unwrap_or(c_int::MAX);
    let statement = c_int::try_from(limits::STATEMENT_BYTES).unwrap_or(c_int::MAX);
    let database = connection.as_raw_handle().as_ptr();
    // SAFETY: the handle is locked, so that its database is open and nothing else uses it. The function is there for
    // as long as the program, and its data for as long as the connection.
    unsafe {
        ffi::sqlite3_limit(database, ffi::SQLITE_LIMIT_LENGTH, length);
        ffi::sqlite3_limit(database, ffi::SQLITE_LIMIT_SQL_LENGTH, statement);
        ffi::sqlite3_limit(database, ffi::SQLITE_LIMIT_COLUMN, columns);
        ffi::sqlite3_limit(database, ffi::SQLITE_LIMIT_ATTACHED, 0);
        let memory = ffi::sqlite3_get_clientdata(database, MEMORY.as_ptr());
        ffi::sqlite3_set_authorizer(database, Some(authorize), memory);
    }
}

/// What SQLite asks of each thing that a statement would do.
unsafe extern "C" fn authorize(
    memory: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _: *const c_char,
    _: *const c_char,
) -> c_int {
    // SAFETY: SQLite hands over texts that end, or nothing, and they are there until this returns; and the data of the
    // connection that asks.
    let (first, second) = unsafe {
        enter(memory);
        (text(first), text(second))
    };
    let may = match action {
        ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH => false,
        ffi::SQLITE_PRAGMA => may_pragma(first, !second.is_empty()),
        _ => true,
    };
    if may { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

/// # Safety
/// It is null, or a text that ends and is there for as long as what is made of it.
unsafe fn text<'t>(text: *const c_char) -> &'t [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

fn may_pragma(name: &[u8], sets: bool) -> bool {
    let is = |all: &[&str]| all.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
    is(PRAGMAS) && !(sets && is(ONLY_ASKED))
}
