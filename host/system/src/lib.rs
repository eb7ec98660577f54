//! What the host asks of its machine: threads, memory, descriptors, files of its own, and its terminal.

pub mod allocations;
pub mod computing;
pub mod counted;
pub mod descriptors;
pub mod digest;
pub mod lock;
pub mod mimalloc;
pub mod output;
pub mod owned;
pub mod printable;
pub mod table;
pub mod threads;
pub mod whole;

/// As in the program, so that tests see what it sees.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: allocations::Watched<mimalloc::Mimalloc> =
    allocations::Watched(mimalloc::Mimalloc);
