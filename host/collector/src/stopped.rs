//! What was collected, for a process that asks while no host runs. It writes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::pipeline::FOLDER;
use crate::reader::Reader;
use crate::segment::{Segment, Unusable};
use crate::shelf::Shelf;
use crate::store;

impl Reader {
    /// Of a state folder whose host does not answer. `None`: nothing is kept there. A file that cannot be read costs
    /// itself alone.
    ///
    /// # Errors
    /// The folder cannot be read, or none of its files.
    pub async fn of_stopped(state: &Path) -> io::Result<Option<Self>> {
        let folder = state.join(FOLDER);
        let files = match store::files(&folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let shelf = Arc::new(Shelf::default());
        let mut last = None;
        for file in files.iter().filter(|file| file.is_of_the_store()) {
            match Segment::open_to_read(&folder, file.number).await {
                Ok(segment) => shelf.put(Arc::new(segment)),
                // A host began it, and came no further.
                Err(Unusable::Empty) => {}
                Err(error) => {
                    let file = Segment::new(&folder, file.number).path;
                    tracing::warn!("{} cannot be read and is left out: {error}", file.display());
                    last = Some(error);
                }
            }
        }
        shelf.fill();
        if shelf.all().is_empty() {
            return match last {
                Some(error) => Err(io::Error::other(error)),
                None => Ok(None),
            };
        }
        // Nothing is written, so that there is nothing to order and nothing to hear of.
        let (orders, _) = mpsc::channel(1);
        let (_, written) = watch::channel(());
        Ok(Some(Self::new(shelf, Arc::default(), orders, written, Arc::default())))
    }

    /// The files that questions found to be broken, oldest first. What is in them is in no answer.
    pub fn broken(&self) -> Vec<PathBuf> {
        let broken = self.files().into_iter().filter(|segment| segment.is_broken());
        broken.map(|segment| segment.path.clone()).collect()
    }
}
