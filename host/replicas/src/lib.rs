//! One decision for all replicas: a swap reaches every one of them or none.
//!
//! [`protocol`] is pure: what the replicas of an application share, how it changes, and what a replica does next. It is
//! what the model checker walks through.
//!
//! [`postgres`] keeps what they share, and [`replica`] is one of them: it looks, and does what the protocol says next.
//!
//! It must not know components, services of this host, or HTTP: what a version is made of is others' business.

pub mod postgres;
pub mod protocol;
pub mod replica;
