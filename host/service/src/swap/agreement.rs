//! The others who have to agree before a version takes requests: the replicas of the application.
//!
//! It must not know how they come to that.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use wasm_host_engine::compile::ComponentFile;

/// Asked of a version that can serve and is kept, before it does.
pub trait Agreement: Send + Sync {
    /// Wait for the decision. Err: why the version is not to serve.
    fn agree<'a>(
        &'a self,
        service: &'a Arc<str>,
        file: &'a ComponentFile,
        cause: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Agreed, String>> + Send + 'a>>;
}

/// The version is to serve, whatever happens here.
#[derive(Default)]
pub struct Agreed {
    /// Replicas whose agreement there is not, because they were lost.
    pub without: Vec<String>,
    /// Dropped when the version serves.
    pub served: Option<oneshot::Sender<()>>,
}
