//! What the connections of one address share: their bounds, their number, and their end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::protocol::Protocols;
use super::pulse::{Order, Pulse};
use crate::config::HttpLimits;
use crate::limits::http as limits;
use crate::tls::ServerTls;

/// The connections of one address, whichever accept loop they came by.
pub struct Connections {
    pub(super) bounds: HttpLimits,
    pub(super) protocols: Protocols,
    pub(super) tls: Option<ServerTls>,
    pub(super) ends: Arc<Ends>,
    places: Arc<Semaphore>,
    stopping: AtomicBool,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    pulses: HashMap<u64, Arc<Pulse>>,
    by_client: HashMap<IpAddr, usize>,
}

/// Connections, and streams of them, that the host ended, by reason.
#[derive(Default)]
pub struct Ends {
    stalled: AtomicU64,
    slow_heads: AtomicU64,
    failed_handshakes: AtomicU64,
    refused: AtomicU64,
}

/// One connection's place. Given back when it is dropped.
pub(super) struct Place {
    pub(super) connections: Arc<Connections>,
    pub(super) pulse: Arc<Pulse>,
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
        let pulse = Arc::new(Pulse::new());
        let id = {
            let mut open = self.open();
            let of_client = open.by_client.entry(client).or_default();
            if *of_client >= self.bounds.connections_per_client {
                self.ends.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            *of_client += 1;
            open.next += 1;
            let id = open.next;
            open.pulses.insert(id, pulse.clone());
            id
        };
        if self.stopping.load(Ordering::SeqCst) {
            pulse.tell(Order::Finish);
        }
        Some(Place { connections: self.clone(), pulse, id, client, _permit: permit })
    }

    /// Close the connection that has been idle longest, if one is idle. Whether one is.
    pub(super) fn make_room(&self) -> bool {
        let open = self.open();
        let idle = open.pulses.values().filter_map(|pulse| Some((pulse.idle()?, pulse)));
        let longest = idle.max_by_key(|(time, _)| *time);
        longest.is_some_and(|(_, pulse)| {
            pulse.tell(Order::Finish);
            true
        })
    }

    /// Let every connection finish what it has begun, and take nothing new.
    pub fn finish(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.tell(Order::Finish);
    }

    /// End every connection now. Returns how many there were.
    pub fn cut(&self) -> usize {
        self.tell(Order::Cut)
    }

    fn tell(&self, order: Order) -> usize {
        let open = self.open();
        open.pulses.values().for_each(|pulse| pulse.tell(order));
        open.pulses.len()
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
        // A panic while it is held leaves nothing half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.pulses.remove(&self.id);
        if let Some(count) = open.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

// === impl Ends ===

impl Ends {
    /// A client took nothing of what it was sent.
    pub(super) fn stalled(&self) {
        self.stalled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn slow_head(&self) {
        self.slow_heads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// What there is to tell, as a list of words; none if nothing was ended.
    pub fn summary(&self) -> Option<String> {
        let counts = [
            (&self.stalled, "did not read"),
            (&self.slow_heads, "sent no whole request head"),
            (&self.failed_handshakes, "did not complete a TLS handshake"),
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
    use std::time::Duration;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn is_told(place: &Place) -> bool {
        place.pulse.order(std::task::Waker::noop()) == Order::Finish
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_let_in_by_whoever_becomes_idle_and_goes() {
        let bounds = HttpLimits { connections: 2, ..HttpLimits::default() };
        let connections = Connections::new(bounds, None);
        let deaf = connections.enter(CLIENT).await.unwrap();
        let other = connections.enter(CLIENT).await.unwrap();
        let requests = [deaf.pulse.begin(true, false), other.pulse.begin(false, false)];
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
        // It does not go, and must not be the chosen one for ever.
        drop(of_other);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_told(&other) && !newcomer.is_finished());
        drop(other);
        assert!(newcomer.await.unwrap());
    }
}
