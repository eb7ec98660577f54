//! One replica: it looks at what is shared, when it is told to and from time to time, and does what the protocol says.
//!
//! It must not know what a version is made of: that is what [`Versions`] are for.

mod actor;
mod missed;
mod standing;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::actor::{Actor, SwapOrder};
use self::standing::{Standing, renew};
use crate::postgres::{Ledger, Uploads, listen};
use crate::protocol::{Attempt, Decision, Line, Offer, Shared, Time, Version};
use wasm_host_limits::replicas as limits;

pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a replica does with versions.
pub trait Versions: Send + Sync + 'static {
    /// What of each service it serves, or would serve, when it comes.
    fn offered(&self) -> Vec<Offer>;

    /// Load the version of an attempt to the side. Err: why it cannot serve.
    fn prepare(
        &self,
        service: Arc<str>,
        attempt: Attempt,
    ) -> Boxed<Result<Box<dyn Prepared>, String>>;

    /// Load the current generation, and put it into service: it was decided on while this replica was away.
    fn catch_up(
        &self,
        service: Arc<str>,
        line: Line,
        overtaken: Overtaken,
    ) -> Boxed<Result<(), String>>;
}

/// Whether a generation that is being loaded is current no more.
#[derive(Clone)]
pub struct Overtaken {
    view: Arc<Mutex<Option<View>>>,
    service: Arc<str>,
    number: u64,
}

impl Overtaken {
    /// As far as this replica has seen.
    pub fn is_so(&self) -> bool {
        let view = self.view.lock();
        let line = view.as_ref().and_then(|view| view.shared.lines.get(&self.service));
        line.is_some_and(|line| line.current.number != self.number)
    }
}

/// A version that can be put into service at any moment.
pub trait Prepared: Send {
    /// The replicas have decided that it serves. Err: why it does not; then it is loaded anew.
    fn serve(self: Box<Self>, decision: Decision) -> Boxed<Result<(), String>>;

    /// It does not.
    fn drop_for(self: Box<Self>, reason: &str);
}

/// How a replica takes part.
#[derive(Clone, Debug)]
pub struct Terms {
    pub application: Arc<str>,
    /// Another one for each process.
    pub name: Arc<str>,
    pub lease: Duration,
    /// How long an attempt may take.
    pub attempt_timeout: Duration,
    /// Whether it takes no requests when its lease has ended.
    pub fences: bool,
}

/// A swap that this replica asks the others for.
#[derive(Clone, Debug)]
pub struct SwapProposal {
    pub service: Arc<str>,
    pub version: Version,
    pub cause: Arc<str>,
    /// See [`Attempt::takes_back`].
    pub takes_back: bool,
}

/// Of an attempt that may have been written.
pub const UNKNOWN: &str =
    "should the swap have begun, `wasm-host history` of another replica says what came of it";

/// Of an attempt whose version this replica has never served, and the others have.
const OVERTAKEN: &str = "the replicas put it into service without this one, and another version has taken its place since";

/// A replica that takes part.
pub struct Replica {
    terms: Terms,
    standing: Arc<Standing>,
    orders: mpsc::Sender<SwapOrder>,
    uploads: Uploads,
    view: Arc<Mutex<Option<View>>>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What a replica saw last.
#[derive(Clone, Debug)]
pub struct View {
    pub shared: Shared,
    /// By the database's clock.
    pub now: Time,
    pub seen: Instant,
}

impl Replica {
    /// Take part from now on. Whether the database is there shows later: see [`Replica::is_open`].
    pub fn start(
        options: PgConnectOptions,
        terms: Terms,
        versions: impl FnOnce(&Uploads) -> Arc<dyn Versions>,
    ) -> Arc<Self> {
        let application = terms.application.clone();
        let uploads = Uploads::new(options.clone(), application.clone());
        let standing = Arc::new(Standing::new(&terms));
        let (orders, taken) = mpsc::channel(limits::ORDERS);
        let (changed, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let view = Arc::new(Mutex::new(None));
        let ledger = || Ledger::new(options.clone(), application.clone());
        let actor =
            Actor::new(terms.clone(), ledger(), versions(&uploads), standing.clone(), view.clone());
        let (until, until_tidied, tidies) = (stop.clone(), stop.clone(), uploads.clone());
        let tasks = vec![
            tokio::spawn(actor.run(taken, changed.clone(), stop.clone())),
            tokio::spawn(renew(ledger(), standing.clone(), changed.clone(), stop.clone())),
            tokio::spawn(async move {
                let _ = until.run_until_cancelled(listen(options, application, changed)).await;
            }),
            tokio::spawn(async move {
                let _ = until_tidied.run_until_cancelled(tidies.tidy_always()).await;
            }),
        ];
        let tasks = Mutex::new(tasks);
        Arc::new(Self { terms, standing, orders, uploads, view, stop, tasks })
    }

    pub fn name(&self) -> &Arc<str> {
        &self.terms.name
    }

    /// Whether it may take requests now.
    pub fn is_open(&self) -> bool {
        self.standing.is_open()
    }

    /// Whether it is a member that serves what is current, as far as it knows.
    pub fn is_member(&self) -> bool {
        self.standing.is_member()
    }

    /// What keeps it from the database. None: nothing does.
    pub fn complaint(&self) -> Option<String> {
        self.standing.complaint()
    }

    /// Why it does not come to serve what the others serve. None: nothing is in the way, or it does.
    pub fn behind(&self) -> Option<String> {
        self.standing.behind()
    }

    /// None: it has seen nothing yet.
    pub fn view(&self) -> Option<View> {
        self.view.lock().clone()
    }

    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// Ask all replicas to put a version into service that this one has prepared. It is put into service, or dropped,
    /// when they have decided; this returns when they have been asked.
    ///
    /// # Errors
    /// Why they were not asked.
    pub async fn propose(
        &self,
        wanted: SwapProposal,
        prepared: Box<dyn Prepared>,
    ) -> Result<(), String> {
        let (reply, replied) = oneshot::channel();
        let order = SwapOrder { wanted, prepared, reply };
        let asked = async {
            self.orders.send(order).await.ok()?;
            replied.await.ok()
        };
        match timeout(limits::TRANSACTION * 2, asked).await {
            Ok(Some(result)) => result,
            Ok(None) => Err("the host is stopping".to_owned()),
            Err(_) => Err(format!("the database of [replicas] does not answer; {UNKNOWN}")),
        }
    }

    /// The generations of a service, as this replica saw them last.
    pub fn line(&self, service: &str) -> Option<Line> {
        self.view.lock().as_ref().and_then(|view| view.shared.lines.get(service).cloned())
    }

    /// Leave: the others do not count on this replica any more.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            let _ = timeout(limits::TRANSACTION, task).await;
        }
    }

    /// End at once, as a process does that is killed: the others are not told.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
