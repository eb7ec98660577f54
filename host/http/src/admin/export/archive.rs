//! A zip file that is made while it is sent: what there is of it in memory is one piece.
//!
//! It knows files and bytes, and nothing of what is in them.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use zip::result::ZipResult;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

type Zip = ZipWriter<StreamWriter<Sink>>;

pub(super) struct Archive {
    /// None: it is on another thread, which a piece that failed leaves it to.
    zip: Option<Zip>,
    made: Sink,
    options: SimpleFileOptions,
    pieces: mpsc::Sender<Vec<u8>>,
}

/// What was made and has not been sent.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Archive {
    /// An empty one, with the time of its files, whose pieces go there.
    pub(super) fn new(at: jiff::Timestamp, pieces: mpsc::Sender<Vec<u8>>) -> Self {
        let made = Sink::default();
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(time(at).unwrap_or_default())
            .unix_permissions(0o600);
        Self { zip: Some(ZipWriter::new_stream(made.clone())), made, options, pieces }
    }

    /// Begin the next file.
    pub(super) async fn begin(&mut self, name: &str) -> Result<()> {
        let (name, options) = (name.to_owned(), self.options);
        self.step(move |zip| zip.start_file(name, options)).await
    }

    /// More of the file that was begun last.
    ///
    /// # Errors
    /// The client has left, or the file cannot be made.
    pub(super) async fn write(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.step(move |zip| Ok(zip.write_all(&bytes)?)).await
    }

    pub(super) async fn file(&mut self, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.begin(name).await?;
        self.write(bytes).await
    }

    /// The list of its files, without which it is none.
    pub(super) async fn end(mut self) -> Result<()> {
        let zip = self.zip.take().context("a piece is missing")?;
        spawn_blocking(move || zip.finish()).await.context("it was not made to its end")??;
        self.send().await
    }

    /// Compressing takes a processor for some milliseconds, which is not for a thread that serves.
    async fn step(
        &mut self,
        step: impl FnOnce(&mut Zip) -> ZipResult<()> + Send + 'static,
    ) -> Result<()> {
        let mut zip = self.zip.take().context("a piece is missing")?;
        let stepped = spawn_blocking(move || step(&mut zip).map(|()| zip)).await;
        self.zip = Some(stepped.context("it was not made to its end")??);
        self.send().await
    }

    async fn send(&self) -> Result<()> {
        let made = mem::take(&mut *self.made.0.lock());
        if made.is_empty() {
            return Ok(());
        }
        self.pieces.send(made).await.map_err(|_| anyhow!("the client has left"))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// None: a zip file cannot say it.
fn time(at: jiff::Timestamp) -> Option<DateTime> {
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |number: i8| number.cast_unsigned();
    let (year, month, day) = (at.year().cast_unsigned(), small(at.month()), small(at.day()));
    let (hour, minute, second) = (small(at.hour()), small(at.minute()), small(at.second()));
    DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    async fn made(pieces: &mut mpsc::Receiver<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.push(piece);
        }
        all
    }

    #[tokio::test]
    async fn it_is_sent_while_it_is_made_and_opens_when_it_is_whole() {
        let (sender, mut receiver) = mpsc::channel(1);
        let at = jiff::Timestamp::from_second(1_927_943_106).unwrap();
        let making = tokio::spawn(async move {
            let mut archive = Archive::new(at, sender);
            archive.file("one", b"first".to_vec()).await.unwrap();
            archive.begin("two").await.unwrap();
            for number in 0..1000_u32 {
                let digest = noise(number);
                archive.write(digest).await.unwrap();
            }
            archive.end().await.unwrap();
        });
        let pieces = made(&mut receiver).await;
        making.await.unwrap();
        // No piece is more than a little of the whole.
        let (largest, all) = (pieces.iter().map(Vec::len).max(), pieces.concat());
        assert!(largest.unwrap() < all.len() / 4, "{largest:?} of {}", all.len());
        let mut opened = zip::ZipArchive::new(Cursor::new(all)).unwrap();
        let mut text = String::new();
        let mut one = opened.by_name("one").unwrap();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
        let modified = one.last_modified().unwrap();
        assert_eq!((modified.year(), modified.month(), modified.day()), (2031, 2, 4));
        drop(one);
        let two = opened.by_name("two").unwrap();
        assert_eq!(two.size(), 1000 * 256);
    }

    #[tokio::test]
    async fn it_ends_with_who_reads_it() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut archive = Archive::new(jiff::Timestamp::UNIX_EPOCH, sender);
        let failed = archive.file("one", noise(1)).await.unwrap_err();
        assert_eq!(failed.to_string(), "the client has left");
    }

    /// Bytes that are hard to compress, always the same.
    fn noise(number: u32) -> Vec<u8> {
        let mut state = u64::from(number) + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..256).map(|_| next()).collect()
    }
}
