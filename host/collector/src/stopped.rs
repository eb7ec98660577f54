//! What was collected, for a process that asks while no host runs. It writes nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::pipeline::FOLDER;
use crate::reader::Reader;
use crate::segment::Segment;
use crate::shelf::Shelf;
use crate::store;

impl Reader {
    /// Of a state folder that no host has at the moment. `None`: nothing is kept there. A file that cannot be read costs
    /// itself alone.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn of_stopped(state: &Path) -> io::Result<Option<Self>> {
        let folder = state.join(FOLDER);
        let files = match store::files(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let shelf = Arc::new(Shelf::default());
        for file in files.iter().filter(|file| file.is_of_the_store()) {
            match Segment::open_to_read(&folder, file.number).await {
                Ok(segment) => shelf.put(Arc::new(segment)),
                Err(error) => {
                    let file = Segment::new(&folder, file.number).path;
                    tracing::warn!("{} cannot be read and is left out: {error}", file.display());
                }
            }
        }
        shelf.fill();
        if shelf.all().is_empty() {
            return Ok(None);
        }
        // Nothing is written, so that there is nothing to order and nothing to hear of.
        let (orders, _) = mpsc::channel(1);
        let (_, written) = watch::channel(());
        Ok(Some(Self::new(shelf, Arc::default(), orders, written, Arc::default())))
    }
}
