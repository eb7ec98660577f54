//! Databases: away, slow, full or lost in an answer, shared by services, behind a pooler, or the host's own.

mod bytes;
mod embedded;
mod faults;
mod notices;
mod outages;
mod pooler;
mod shared;
mod sockets;
