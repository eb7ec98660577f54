//! The folder of telemetry: which file is written, and which ones go.
//!
//! Only the thread that writes has it. It must not know what is in the files; what can go wrong with one of them it
//! keeps from the others.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use sqlx::{Connection as _, SqliteConnection};

use crate::age::Steady;
use crate::segment::{self, Segment, Unusable};
use crate::shelf::Shelf;
use wasm_host_limits::telemetry as limits;
use wasm_host_system::owned;
use wasm_host_telemetry::clock;

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub bytes: u64,
    pub age: Duration,
}

#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    bounds: Bounds,
    pub shelf: Arc<Shelf>,
    current: Option<Current>,
    /// The number of the file after the newest that was ever there.
    next: u64,
    /// Whether what the folder has is on the shelf.
    is_read: bool,
    /// The file that was written when that failed.
    interrupted: Option<u64>,
    /// Files from before that could not be opened, for another reason than what is in them. They are tried again.
    unread: Vec<Arc<Segment>>,
    unread_tried: Option<Instant>,
    /// Files that a question read when what was changed was to be moved into them. It is tried again.
    unmoved: Vec<Arc<Segment>>,
    unmoved_tried: Option<Instant>,
    tried: Option<Instant>,
    pub(super) clock: Steady,
}

/// A file of the folder whose name begins with a number.
pub(super) struct Numbered {
    pub number: u64,
    /// Behind the first dot of its name.
    end: String,
}

impl Numbered {
    /// Whether it is neither beside such a file nor set aside.
    pub(super) fn is_of_the_store(&self) -> bool {
        self.end == "sqlite"
    }
}

/// All of these, in no order.
pub(super) fn files(folder: &Path) -> io::Result<Vec<Numbered>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some((number, end)) = name.to_str().and_then(|name| name.split_once('.'))
            && let Ok(number) = number.parse()
        {
            files.push(Numbered { number, end: end.to_owned() });
        }
    }
    Ok(files)
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct Current {
    pub segment: Arc<Segment>,
    pub connection: SqliteConnection,
    pub next_log: u64,
    pub next_trace: u64,
    /// Names of services that are in it.
    pub services: HashSet<Arc<str>>,
    /// Ids of its series, by instrument and labels.
    pub series: HashMap<(&'static str, Vec<String>), i64>,
    /// How old it was when it was opened, and since when it is.
    age: Duration,
    opened: Steady,
}

impl Store {
    pub(super) fn new(folder: PathBuf, bounds: Bounds, shelf: Arc<Shelf>) -> Self {
        Self {
            folder,
            bounds,
            shelf,
            current: None,
            next: 1,
            is_read: false,
            interrupted: None,
            unread: Vec::new(),
            unread_tried: None,
            unmoved: Vec::new(),
            unmoved_tried: None,
            tried: None,
            clock: Steady::new(),
        }
    }

    fn share(&self) -> u64 {
        self.bounds.bytes / limits::STORE_FILES as u64
    }

    /// Bytes that may be written before the size is looked at again.
    pub(super) fn step(&self) -> usize {
        usize::try_from(self.share() / 4).unwrap_or(usize::MAX).min(limits::WRITE_BYTES)
    }

    /// The file to write to. Where the last attempt to open one failed a moment ago, there is none.
    pub(super) async fn current(&mut self) -> anyhow::Result<&mut Current> {
        if self.current.is_none() {
            if self.tried.is_some_and(|tried| tried.elapsed() < limits::WRITE_RETRY) {
                anyhow::bail!("the last attempt failed a moment ago");
            }
            self.tried = Some(Instant::now());
            self.open().await?;
            self.tried = None;
        }
        self.current.as_mut().context("no file is open")
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        self.read().await?;
        if let Some(number) = self.interrupted.take() {
            let opened = self.reopen(number).await;
            if opened.is_err() {
                self.interrupted = Some(number);
            }
            opened?;
        }
        if self.current.is_none() {
            owned::private_folder(&self.folder)?;
            let number = self.next;
            self.next += 1;
            let (segment, connection) = Segment::create(&self.folder, number, self.share()).await?;
            self.write_to(segment, connection).await?;
        }
        Ok(())
    }

    /// What is there from before. A file that cannot be opened now costs itself alone.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        if self.is_read {
            return Ok(());
        }
        owned::private_folder(&self.folder)?;
        let mut numbers = Vec::new();
        for file in files(&self.folder).context("cannot read the folder")? {
            self.next = self.next.max(file.number.saturating_add(1));
            if file.is_of_the_store() {
                numbers.push(file.number);
            }
        }
        numbers.sort_unstable();
        let newest = numbers.last().copied();
        for number in numbers {
            if let Err(error) = self.take_up(number, Some(number) == newest).await {
                let segment = Segment::new(&self.folder, number);
                tracing::warn!(
                    "the file of telemetry {} cannot be opened now and is tried again: {error:#}",
                    segment.path.display()
                );
                self.unread.push(Arc::new(segment));
            }
        }
        self.unread_tried = Some(Instant::now());
        self.is_read = true;
        self.tend().await;
        Ok(())
    }

    /// A file from before, to write to it or only to read it.
    async fn take_up(&mut self, number: u64, is_newest: bool) -> anyhow::Result<()> {
        let written = Segment::new(&self.folder, number).written();
        let Some((segment, connection)) = self.look_at(number).await? else { return Ok(()) };
        match is_newest {
            true => self.write_to(segment, connection).await?,
            false => {
                connection.close().await?;
                let segment = Arc::new(segment);
                self.shelf.put(segment.clone());
                // What was left beside it may have been moved into it only now.
                self.moved(&segment, true, written);
            }
        }
        Ok(())
    }

    /// Those that could not be opened. How many are left.
    pub(super) async fn take_up_unread(&mut self) -> usize {
        self.unread_tried = Some(Instant::now());
        // It may be given up in the midst of it.
        for segment in self.unread.clone() {
            match self.take_up(segment.number, false).await {
                Ok(()) => self.unread.retain(|unread| unread.number != segment.number),
                Err(error) => {
                    let file = segment.path.display();
                    tracing::debug!(%file, "cannot be opened yet: {error:#}");
                }
            }
        }
        self.unread.len()
    }

    /// Where writing to a file failed, for another reason than the file.
    async fn reopen(&mut self, number: u64) -> anyhow::Result<()> {
        match self.look_at(number).await? {
            Some((segment, connection)) => self.write_to(segment, connection).await?,
            None => self.shelf.remove(number),
        }
        Ok(())
    }

    /// Open a file. None: it is not to be used, and out of the way. What fails for another reason than the file may
    /// go well later.
    async fn look_at(
        &mut self,
        number: u64,
    ) -> anyhow::Result<Option<(Segment, SqliteConnection)>> {
        let segment = Segment::new(&self.folder, number);
        match Segment::open(&self.folder, number, self.share()).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(Unusable::Empty) => drop(segment.delete()),
            Err(Unusable::File(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.is_of_the_file() => self.set_aside(&segment, &error),
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    async fn write_to(
        &mut self,
        segment: Segment,
        mut connection: SqliteConnection,
    ) -> sqlx::Result<()> {
        let (next_log, next_trace) = (segment.logs_end(), segment.traces_end());
        let (services, series) = (HashSet::new(), HashMap::new());
        let began: Option<i64> =
            sqlx::query_scalar("select time from began").fetch_optional(&mut connection).await?;
        let segment = Arc::new(segment);
        self.shelf.put(segment.clone());
        let began = began.map_or(0, i64::cast_unsigned);
        let age = Duration::from_micros(clock::now().saturating_sub(began));
        let opened = Steady::new();
        let current =
            Current { segment, connection, next_log, next_trace, services, series, age, opened };
        self.current = Some(current);
        Ok(())
    }

    /// It could not be written: begin with another file if it is broken, and with another connection in any case, as
    /// this one may be within what failed.
    pub(super) fn failed(&mut self, error: &sqlx::Error) {
        let Some(current) = self.current.take() else { return };
        current.segment.learn(error);
        self.tried = Some(Instant::now());
        if current.segment.is_broken() {
            self.shelf.remove(current.segment.number);
            self.set_aside(&current.segment, error);
            // Another file has nothing to do with it.
            self.tried = None;
        } else {
            self.interrupted = Some(current.segment.number);
        }
    }

    /// After something was written, and now and then.
    pub(super) async fn tend(&mut self) {
        for segment in self.shelf.all() {
            let is_current = self
                .current
                .as_ref()
                .is_some_and(|current| current.segment.number == segment.number);
            segment.rest();
            // Where that cannot be told at the moment, nothing has become of it yet.
            let is_there = segment.path.try_exists().unwrap_or(true);
            if is_there && !segment.is_broken() {
                continue;
            }
            if is_current {
                self.current = None;
            }
            self.shelf.remove(segment.number);
            self.unmoved.retain(|unmoved| unmoved.number != segment.number);
            if is_there {
                self.set_aside(&segment, &"a question found it broken");
            }
        }
        let is_time = |tried: Instant| tried.elapsed() >= limits::READ_INTERVAL;
        if !self.unread.is_empty() && self.unread_tried.is_none_or(is_time) {
            self.take_up_unread().await;
        }
        if self.current.as_ref().is_some_and(|current| self.is_over(current)) {
            self.rotate().await;
        }
        if !self.unmoved.is_empty() && self.unmoved_tried.is_none_or(is_time) {
            self.move_unmoved().await;
        }
        self.make_room().await;
    }

    fn is_over(&self, current: &Current) -> bool {
        let rows = |end: u64| end.saturating_sub(current.segment.first_id());
        let is_full = current.segment.bytes() >= self.share()
            || rows(current.next_log).max(rows(current.next_trace)) >= limits::STORE_FILE_ROWS / 2;
        let age = self.bounds.age / u32::try_from(limits::STORE_FILES).unwrap_or(u32::MAX);
        is_full || current.age + current.opened.elapsed() >= age
    }

    /// What comes next goes to another file.
    pub(super) async fn rotate(&mut self) {
        let Some(Current { segment, mut connection, .. }) = self.current.take() else { return };
        let moved = segment::checkpoint(&mut connection).await;
        let closed = connection.close().await;
        match closed.and(moved) {
            Ok(is_moved) => self.moved(&segment, is_moved, None),
            Err(error) => {
                let file = segment.path.display();
                tracing::debug!(%error, %file, "not moved into the file yet");
            }
        }
    }

    /// It is deleted, or will be with the whole folder.
    pub(super) fn let_go(&mut self, segment: &Segment) {
        self.shelf.remove(segment.number);
        self.unread.retain(|unread| unread.number != segment.number);
        self.unmoved.retain(|unmoved| unmoved.number != segment.number);
        if let Err(error) = segment.delete() {
            tracing::debug!(%error, file = %segment.path.display(), "not deleted yet");
        }
    }

    /// Bytes that files may have which are not written any more.
    pub(super) fn room(&self) -> u64 {
        self.bounds.bytes.saturating_sub(self.share())
    }

    pub(super) fn age(&self) -> Duration {
        self.bounds.age
    }

    pub(super) fn unread(&self) -> &[Arc<Segment>] {
        &self.unread
    }

    pub(super) fn current_number(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.segment.number)
    }

    /// What was changed in a file is in the file itself; or it is not, as a question reads it, and that is tried
    /// again. What was changed makes it no newer.
    pub(super) fn moved(
        &mut self,
        segment: &Arc<Segment>,
        is_moved: bool,
        written: Option<SystemTime>,
    ) {
        if let Some(Err(error)) = written.map(|written| segment.set_written(written)) {
            tracing::debug!(%error, file = %segment.path.display(), "it is kept longer");
        }
        self.unmoved.retain(|unmoved| unmoved.number != segment.number);
        if !is_moved {
            self.unmoved.push(segment.clone());
        }
    }

    pub(super) fn has_unmoved(&self) -> bool {
        !self.unmoved.is_empty()
    }

    /// Those of which not all was moved into the file itself. How many are left.
    pub(super) async fn move_unmoved(&mut self) -> usize {
        self.unmoved_tried = Some(Instant::now());
        for segment in self.unmoved.clone() {
            let moving = async {
                if let Some(current) = self.current_of(segment.number) {
                    let is_moved = segment::checkpoint(&mut current.connection).await?;
                    return Ok((is_moved, None));
                }
                let written = segment.written();
                let mut connection = self.writer(&segment).await?;
                let is_moved = segment::checkpoint(&mut connection).await?;
                connection.close().await?;
                Ok::<_, sqlx::Error>((is_moved, written))
            };
            match moving.await {
                Ok((is_moved, written)) => self.moved(&segment, is_moved, written),
                Err(error) => {
                    segment.learn(&error);
                    tracing::debug!(%error, file = %segment.path.display(), "not moved yet");
                }
            }
        }
        self.unmoved.len()
    }

    /// Everything that is there goes. What comes next goes to a new file.
    pub(super) fn clear(&mut self) {
        (self.current, self.interrupted) = (None, None);
        self.unmoved.clear();
        for segment in self.shelf.all().into_iter().chain(std::mem::take(&mut self.unread)) {
            self.shelf.remove(segment.number);
            if let Err(error) = segment.delete() {
                tracing::warn!(%error, file = %segment.path.display(), "telemetry is not deleted");
            }
        }
        for path in self.broken() {
            let _ = fs::remove_file(path);
        }
    }

    /// The file that is written, if it is this one.
    pub(super) fn current_of(&mut self, number: u64) -> Option<&mut Current> {
        self.current.as_mut().filter(|current| current.segment.number == number)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it can be tried again at once.
    pub(super) fn can_go_on(&self) -> bool {
        self.tried.is_none()
    }

    /// At the end of the process: all that was written is in the files themselves.
    pub(super) async fn close(&mut self) {
        self.rotate().await;
    }

    /// The connection to write to this file.
    pub(super) async fn writer(&mut self, segment: &Segment) -> sqlx::Result<SqliteConnection> {
        segment.writer(self.share()).await
    }

    fn set_aside(&mut self, segment: &Segment, why: &dyn std::fmt::Display) {
        match segment.set_aside() {
            Ok(aside) => tracing::warn!(
                "a file of telemetry cannot be used and is set aside as {}: {why}; the others are not touched",
                aside.display()
            ),
            Err(error) => tracing::warn!(
                "the file of telemetry {} cannot be used ({why}) and cannot be set aside: {error}",
                segment.path.display()
            ),
        }
        self.keep_broken();
    }

    /// A few of them. Bytes of those that stay.
    pub(super) fn keep_broken(&self) -> u64 {
        let mut broken = self.broken();
        let beyond = broken.len().saturating_sub(limits::STORE_BROKEN_FILES);
        for path in broken.drain(..beyond) {
            let _ = fs::remove_file(path);
        }
        broken.iter().filter_map(|path| fs::metadata(path).ok()).map(|found| found.len()).sum()
    }

    /// Oldest first.
    fn broken(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let is_broken = |path: &Path| path.extension().is_some_and(|end| end == "broken");
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut broken: Vec<_> = paths.filter(|path| is_broken(path)).collect();
        broken.sort();
        broken
    }
}
