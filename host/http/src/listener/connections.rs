//! What the connections of one address share: their bounds, their number, and their end.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connection_state::{ConnectionCommand, ConnectionState, Spare};
use super::protocol::Protocols;
use wasm_host_config::HttpLimits;
use wasm_host_limits::http as limits;
use wasm_host_settings::tls::ServerTls;

/// The connections of one address, whichever accept loop they came by.
pub struct Connections {
    pub(super) bounds: HttpLimits,
    pub(super) protocols: Protocols,
    pub(super) tls: Option<ServerTls>,
    pub(super) ends: Arc<Ends>,
    places: Arc<Semaphore>,
    stopping: AtomicBool,
    open: Mutex<Open>,
    /// Others, which give up descriptors for these.
    beside: OnceLock<Arc<Connections>>,
    crowded: Complaint,
}

/// A line of the log that is written now and then, however often there is a reason.
#[derive(Default)]
pub(super) struct Complaint(Mutex<Option<Instant>>);

#[derive(Default)]
struct Open {
    next: u64,
    held: HashMap<u64, ConnectionEntry>,
    by_client: HashMap<IpAddr, usize>,
}

struct ConnectionEntry {
    client: IpAddr,
    state: Arc<ConnectionState>,
}

/// Connections, and streams of them, that the host ended, by reason.
#[derive(Default)]
pub struct Ends {
    stalled: AtomicU64,
    slow_heads: AtomicU64,
    made_room: AtomicU64,
    failed_handshakes: AtomicU64,
    floods: AtomicU64,
    refused: AtomicU64,
}

/// One connection's place. Given back when it is dropped.
pub(super) struct Place {
    pub(super) connections: Arc<Connections>,
    pub(super) state: Arc<ConnectionState>,
    id: u64,
    client: IpAddr,
    _permit: OwnedSemaphorePermit,
}

// === impl Connections ===

impl Connections {
    pub fn new(bounds: HttpLimits, tls: Option<&ServerTls>) -> Arc<Self> {
        let ends = Arc::<Ends>::default();
        Arc::new(Self {
            protocols: Protocols::new(&bounds, ends.clone()),
            tls: tls.cloned(),
            ends,
            places: Arc::new(Semaphore::new(bounds.connections)),
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
            beside: OnceLock::new(),
            crowded: Complaint::default(),
            bounds,
        })
    }

    /// A place for a connection of `client`, as soon as there is one. None if the client has too many.
    pub(super) async fn enter(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut free = pin!(self.places.clone().acquire_owned());
        let permit = loop {
            let makes_room = self.places.available_permits() == 0 && self.make_room();
            // Of those that are busy now, one may be idle at the next look.
            let wait = if makes_room { limits::ROOM_GRACE } else { limits::ROOM_INTERVAL };
            if let Ok(permit) = timeout(wait, free.as_mut()).await {
                break permit.ok()?;
            }
        };
        self.admit(client, permit)
    }

    fn admit(self: &Arc<Self>, client: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let state = Arc::new(ConnectionState::new());
        let share = self.bounds.connections_per_client;
        let id = {
            let mut open = self.open();
            let has_share = open.by_client.get(&client).is_some_and(|count| *count >= share);
            if has_share && !self.choose(&open, Some(client)) {
                self.ends.refused();
                return None;
            }
            let of_client = open.by_client.entry(client).or_default();
            *of_client += 1;
            open.next += 1;
            let id = open.next;
            open.held.insert(id, ConnectionEntry { client, state: state.clone() });
            id
        };
        if self.stopping.load(Ordering::SeqCst) {
            state.tell(ConnectionCommand::Finish);
        }
        Some(Place { connections: self.clone(), state, id, client, _permit: permit })
    }

    /// End a connection in favour of one that waits, if one can be spared. Whether one can.
    pub(super) fn make_room(&self) -> bool {
        self.choose(&self.open(), None)
    }

    /// The same where descriptors are short, which others may hold.
    pub(super) fn give_descriptor(&self) {
        if !self.make_room()
            && let Some(others) = self.beside.get()
        {
            others.make_room();
        }
    }

    /// From now on `others` give up descriptors for these.
    pub fn come_before(&self, others: &Arc<Self>) {
        let _ = self.beside.set(others.clone());
    }

    /// Tell the connection that has been idle longest to go; else the one that has longest sent no whole head, once it
    /// has had time for it. Of all, or of a client that has its share.
    fn choose(&self, open: &Open, of: Option<IpAddr>) -> bool {
        let grace = if of.is_some() { limits::SHARE_GRACE } else { limits::FRESH_GRACE };
        let among =
            open.held.iter().filter(|(_, held)| of.is_none_or(|client| held.client == client));
        let spared = among.filter_map(|(id, held)| {
            let (is_idle, time) = match held.state.spare()? {
                Spare::Idle(time) => (true, time),
                Spare::Headless(time) if time >= grace => (false, time),
                Spare::Headless(_) => return None,
            };
            Some((is_idle, time, Reverse(*id), held))
        });
        let first = spared.max_by_key(|(is_idle, time, id, _)| (*is_idle, *time, *id));
        let Some((is_idle, time, _, held)) = first else { return false };
        held.state.tell(ConnectionCommand::MakeRoom);
        if !is_idle {
            self.ends.made_room();
            self.complain(open.held.len(), held.client, time);
        }
        true
    }

    fn complain(&self, count: usize, client: IpAddr, time: Duration) {
        if self.crowded.is_due() {
            tracing::warn!(
                "a connection of {client} that had sent no whole request head in {time:?} was closed for a new one: \
                 {count} are open"
            );
        }
    }

    /// Let every connection finish what it has begun, and take nothing new.
    pub fn finish(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.tell(ConnectionCommand::Finish);
    }

    /// End every connection now. Returns how many there were.
    pub fn cut(&self) -> usize {
        self.tell(ConnectionCommand::Cut)
    }

    fn tell(&self, order: ConnectionCommand) -> usize {
        let open = self.open();
        open.held.values().for_each(|held| held.state.tell(order));
        open.held.len()
    }

    /// Wait until none is left.
    pub async fn closed(&self) {
        let all = u32::try_from(self.bounds.connections).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }

    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.held.remove(&self.id);
        if let Some(count) = open.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

// === impl Complaint ===

impl Complaint {
    /// Whether to write it now.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock();
        let is_due = last.is_none_or(|at| at.elapsed() > limits::ACCEPT_COMPLAINT);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

// === impl Ends ===

impl Ends {
    /// A client took nothing of what it was sent.
    pub(super) fn stalled(&self) {
        self.stalled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn slow_head(&self) {
        self.slow_heads.fetch_add(1, Ordering::Relaxed);
    }

    /// It made room before its first request.
    pub(super) fn made_room(&self) {
        self.made_room.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn flooded(&self) {
        self.floods.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// What there is to tell, as a list of words; none if nothing was ended.
    pub fn summary(&self) -> Option<String> {
        let counts = [
            (&self.stalled, "did not read"),
            (&self.slow_heads, "sent no whole request head"),
            (&self.made_room, "made room before they had sent one"),
            (&self.failed_handshakes, "did not complete a TLS handshake"),
            (&self.floods, "sent a flood of frames"),
            (&self.refused, "had too many connections"),
        ];
        let told: Vec<String> = counts
            .iter()
            .map(|(count, why)| (count.load(Ordering::Relaxed), why))
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} {why}"))
            .collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use tokio::time::advance;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn is_told(place: &Place) -> bool {
        place.state.order(std::task::Waker::noop()) == ConnectionCommand::MakeRoom
    }

    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    #[tokio::test(start_paused = true)]
    async fn the_oldest_without_a_head_makes_room_when_it_has_had_time_for_one() {
        let bounds = HttpLimits { connections: 2, ..HttpLimits::default() };
        let connections = Connections::new(bounds, None);
        let oldest = connections.enter(CLIENT).await.unwrap();
        advance(limits::FRESH_GRACE / 2).await;
        let young = connections.enter(CLIENT).await.unwrap();
        assert!(!connections.make_room());
        advance(limits::FRESH_GRACE / 2).await;
        assert!(connections.make_room());
        assert!(is_told(&oldest) && !is_told(&young));
        // It is on its way out; the other one is young still.
        assert!(!connections.make_room());
        advance(limits::FRESH_GRACE / 2).await;
        // A client that has asked once and is idle has less to lose than one that is about to ask.
        drop(young.state.begin(false, false));
        drop(oldest);
        let half = connections.enter(CLIENT).await.unwrap();
        advance(limits::FRESH_GRACE).await;
        assert!(connections.make_room());
        assert!(is_told(&young) && !is_told(&half));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_its_share_gives_of_its_own_and_nothing_of_others() {
        let bounds = HttpLimits { connections_per_client: 2, ..HttpLimits::default() };
        let connections = Connections::new(bounds, None);
        let of_other = connections.enter(OTHER).await.unwrap();
        advance(limits::SHARE_GRACE).await;
        let half = connections.enter(CLIENT).await.unwrap();
        let busy = connections.enter(CLIENT).await.unwrap();
        let _request = busy.state.begin(false, false);
        assert!(connections.enter(CLIENT).await.is_none());
        advance(limits::SHARE_GRACE).await;
        let last = connections.enter(CLIENT).await.unwrap();
        assert!(is_told(&half) && !is_told(&busy) && !is_told(&last) && !is_told(&of_other));
        drop(half);
        assert!(connections.enter(CLIENT).await.is_none());
        assert!(connections.enter(OTHER).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_descriptor_comes_from_others_where_none_here_can_give_one() {
        let [control, public] = [(); 2].map(|()| Connections::new(HttpLimits::default(), None));
        control.come_before(&public);
        let busy = control.enter(CLIENT).await.unwrap();
        let _request = busy.state.begin(false, false);
        let half = public.enter(CLIENT).await.unwrap();
        advance(limits::FRESH_GRACE).await;
        control.give_descriptor();
        assert!(is_told(&half) && !is_told(&busy));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_is_let_in_by_one_that_becomes_idle_and_goes() {
        let bounds = HttpLimits { connections: 2, ..HttpLimits::default() };
        let connections = Connections::new(bounds, None);
        let deaf = connections.enter(CLIENT).await.unwrap();
        let other = connections.enter(CLIENT).await.unwrap();
        let requests = [deaf.state.begin(true, false), other.state.begin(false, false)];
        let newcomer = tokio::spawn({
            let connections = connections.clone();
            async move { connections.enter(CLIENT).await.is_some() }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!is_told(&deaf) && !is_told(&other));
        let [of_deaf, of_other] = requests;
        drop(of_deaf);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_told(&deaf) && !is_told(&other));
        // It stays, and must not be the one that is chosen each time.
        drop(of_other);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_told(&other) && !newcomer.is_finished());
        drop(other);
        assert!(newcomer.await.unwrap());
    }
}
