//! A TCP proxy that damages what passes: stands before a database, a model server, or the host itself.
//!
//! Knows bytes and no protocol. What it does can be changed while connections are open; each of them
//! follows the newest word, but counts its own bytes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes taken in one read, and so the longest piece that is passed on.
const PIECE_BYTES: usize = 16 * 1024;

/// What happens to the bytes of one direction.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    /// Wait before each piece.
    pub delay: Duration,
    /// Pieces of at most so many bytes, each sent by itself.
    pub pieces: Option<usize>,
    /// Cut pieces at these places of the stream, counted in bytes from its start.
    pub split_at: BTreeSet<usize>,
    /// Let so many bytes pass, and then do this.
    pub after: Option<(usize, Then)>,
    /// Let nothing pass, and close nothing: a cable that was pulled.
    pub stalled: bool,
}

/// The end of a connection, or of one direction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Close both sides in order.
    Close,
    /// Close both sides with a reset.
    Reset,
    /// Close this direction only.
    HalfClose,
    /// Say nothing more and keep everything open.
    Stall,
}

/// What happens to whole connections, and to both directions.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// From who connected to the server.
    pub up: Damage,
    /// From the server.
    pub down: Damage,
    /// Accept, and close at once.
    pub refuse: bool,
    /// Where new connections lead instead: an `ip:port`, to which a name was moved.
    pub moved_to: Option<String>,
}

/// The proxy while it listens. Dropping it closes everything with resets.
pub struct Proxy {
    /// `ip:port`
    pub address: String,
    plan: watch::Sender<Plan>,
    shared: Arc<Mutex<Shared>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    accepted: usize,
    open: usize,
    /// All that has passed, of all connections in the order in which it passed.
    up: Vec<u8>,
    down: Vec<u8>,
    connections: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// In front of `server`, an `ip:port`. Passes everything on until it is told otherwise.
    pub async fn start(server: &str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        let (plan, told) = watch::channel(Plan::default());
        let shared = Arc::new(Mutex::new(Shared::default()));
        let accepting = tokio::spawn(accept(socket, server.to_string(), told, shared.clone()));
        Self { address, plan, shared, accepting }
    }

    /// From now on, for open connections and new ones.
    pub fn set(&self, plan: Plan) {
        self.plan.send_replace(plan);
    }

    /// Do no damage any more.
    pub fn heal(&self) {
        self.set(Plan::default());
    }

    /// Reset all open connections.
    pub fn reset_all(&self) {
        // A task that is dropped closes its sockets; they linger for no time.
        for connection in self.shared().connections.drain(..) {
            connection.abort();
        }
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.shared().accepted
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.shared().open
    }

    /// What was sent to the server so far.
    pub fn sent_up(&self) -> Vec<u8> {
        self.shared().up.clone()
    }

    /// What the server sent so far.
    pub fn sent_down(&self) -> Vec<u8> {
        self.shared().down.clone()
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().expect("no panic")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset_all();
    }
}

async fn accept(
    socket: TcpListener,
    server: String,
    told: watch::Receiver<Plan>,
    shared: Arc<Mutex<Shared>>,
) {
    while let Ok((client, _)) = socket.accept().await {
        let moved_to = told.borrow().moved_to.clone();
        let server = moved_to.unwrap_or_else(|| server.clone());
        let (plan, seen) = (told.clone(), shared.clone());
        let mut shared = shared.lock().expect("no panic");
        shared.accepted += 1;
        if plan.borrow().refuse {
            continue;
        }
        shared.open += 1;
        let open = Open(seen);
        shared.connections.retain(|connection| !connection.is_finished());
        shared.connections.push(tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            join(Pair { client, server, orderly: false }, plan, &open.0).await;
            drop(open);
        }));
    }
}

struct Open(Arc<Mutex<Shared>>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.0.lock() {
            shared.open -= 1;
        }
    }
}

/// Both sides of a connection. They end with resets unless they came to their end in order.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    orderly: bool,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !self.orderly {
            let _ = self.client.set_zero_linger();
            let _ = self.server.set_zero_linger();
        }
    }
}

async fn join(mut pair: Pair, plan: watch::Receiver<Plan>, shared: &Mutex<Shared>) {
    let _ = pair.client.set_nodelay(true);
    let _ = pair.server.set_nodelay(true);
    let (from_client, mut to_client) = pair.client.split();
    let (from_server, mut to_server) = pair.server.split();
    let up = Direction { plan: plan.clone(), of: |plan| &plan.up, tap: |shared| &mut shared.up };
    let down = Direction { plan, of: |plan| &plan.down, tap: |shared| &mut shared.down };
    let up = up.run(from_client, &mut to_server, shared);
    let down = down.run(from_server, &mut to_client, shared);
    tokio::pin!(up, down);
    let (mut up_ended, mut down_ended) = (false, false);
    pair.orderly = loop {
        tokio::select! {
            end = &mut up, if !up_ended => match end {
                DirectionEnd::Whole => up_ended = true,
                DirectionEnd::Cut { orderly } => break orderly,
            },
            end = &mut down, if !down_ended => match end {
                DirectionEnd::Whole => down_ended = true,
                DirectionEnd::Cut { orderly } => break orderly,
            },
            else => break true,
        }
    };
}

enum DirectionEnd {
    /// This direction came to its end; the other may go on.
    Whole,
    /// The connection is over.
    Cut { orderly: bool },
}

struct Direction {
    plan: watch::Receiver<Plan>,
    of: fn(&Plan) -> &Damage,
    tap: fn(&mut Shared) -> &mut Vec<u8>,
}

impl Direction {
    async fn run(
        mut self,
        mut from: ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        shared: &Mutex<Shared>,
    ) -> DirectionEnd {
        let mut passed = 0;
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let count = match from.read(&mut buffer).await {
                Ok(0) => {
                    let _ = to.shutdown().await;
                    return DirectionEnd::Whole;
                }
                Ok(count) => count,
                Err(_) => return DirectionEnd::Cut { orderly: false },
            };
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let damage = self.damage().await;
                let wanted = length(&damage, passed, rest.len());
                if let Some((limit, then)) = damage.after
                    && passed >= limit
                {
                    match then {
                        Then::Close => return DirectionEnd::Cut { orderly: true },
                        Then::Reset => return DirectionEnd::Cut { orderly: false },
                        Then::Stall => std::future::pending().await,
                        Then::HalfClose => {
                            let _ = to.shutdown().await;
                            return DirectionEnd::Whole;
                        }
                    }
                }
                let (piece, after) = rest.split_at(wanted);
                tokio::time::sleep(damage.delay).await;
                if to.write_all(piece).await.is_err() {
                    return DirectionEnd::Cut { orderly: false };
                }
                (self.tap)(&mut shared.lock().expect("no panic")).extend_from_slice(piece);
                passed += piece.len();
                rest = after;
            }
        }
    }

    /// The newest word, once it lets anything pass.
    async fn damage(&mut self) -> Damage {
        loop {
            let damage = (self.of)(&self.plan.borrow_and_update()).clone();
            if !damage.stalled {
                return damage;
            }
            if self.plan.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// How much of `waiting` bytes is passed on in one piece after `passed` others.
fn length(damage: &Damage, passed: usize, waiting: usize) -> usize {
    let cut = damage.split_at.range(passed + 1..).next().map(|place| place - passed);
    let end = damage.after.map(|(limit, _)| limit.saturating_sub(passed)).filter(|left| *left > 0);
    [Some(waiting), damage.pieces, cut, end].into_iter().flatten().min().unwrap_or(waiting).max(1)
}
