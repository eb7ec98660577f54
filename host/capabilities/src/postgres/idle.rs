//! Connections at rest, each for the service that used it last, and for no other: what a session has in it cannot be
//! seen, and not all of it can be taken back.
//!
//! It knows nothing of what a service may have.

use tokio::time::Instant;

use super::connection::Connection;
use crate::places::User;
use wasm_host_limits::postgres as limits;
use wasm_host_system::threads;

#[derive(Default)]
pub(super) struct Idle {
    /// The one used last is at the end, and is used next.
    connections: Vec<Connection>,
    /// When a connection was last lost. Those idle since before then may be lost, too.
    pub(super) failed: Option<Instant>,
    /// Connections that broke off since one came back whole.
    lost: usize,
}

impl Idle {
    /// One of this user's: of this thread, or any.
    pub(super) fn take(&mut self, user: User) -> Option<Connection> {
        let here = threads::current();
        let own = |connection: &Connection| connection.user == user;
        let at = self
            .connections
            .iter()
            .rposition(|connection| own(connection) && connection.home == here)
            .or_else(|| self.connections.iter().rposition(own))?;
        Some(self.connections.remove(at))
    }

    /// Those that rest longest, to be closed, where there are more than `count`.
    pub(super) fn beyond(&mut self, count: usize) -> Vec<Connection> {
        let beyond = self.connections.len().saturating_sub(count);
        self.connections.drain(..beyond).collect()
    }

    pub(super) fn keep(&mut self, mut connection: Connection) {
        connection.idle_since = Instant::now();
        self.connections.push(connection);
    }

    /// One comes back, to be kept or not.
    pub(super) fn came_back(&mut self, connection: &Connection) {
        if connection.broken {
            self.failed = Some(Instant::now());
        }
        if connection.lost {
            self.lost += 1;
        } else if !connection.broken {
            self.lost = 0;
        }
    }

    /// Whether statements lose their connections, one after the other.
    pub(super) fn loses_all(&self) -> bool {
        let lately = |failed: Instant| failed.elapsed() < limits::LOSS_REMEMBERED;
        self.lost >= limits::LOST_IN_A_ROW && self.failed.is_some_and(lately)
    }

    pub(super) fn drop_old(&mut self) {
        self.connections.retain(|old| old.idle_since.elapsed() < limits::IDLE_TIMEOUT);
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.connections.clear();
    }
}
