//! The server's log: what it writes on stderr, in a file that does not grow without end.
//!
//! The host writes the file, not the server, because the server can bound files by age only.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStderr;

use wasm_host_limits::embedded_postgres as limits;
use wasm_host_system::owned;

/// What the server said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock();
        if lines.len() == limits::LOG_TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_string());
    }

    /// The reason for a failed start: the last line that is not only a notice.
    pub(super) fn reason(&self) -> Option<String> {
        let lines = self.0.lock();
        let serious = |line: &&String| line.contains("FATAL") || line.contains("PANIC");
        lines.iter().rev().find(serious).or(lines.back()).cloned()
    }

    pub(super) fn contains(&self, text: &str) -> bool {
        let lines = self.0.lock();
        lines.iter().any(|line| line.contains(text))
    }
}

/// Copy `stderr` into the file until the server and all its children are gone.
pub(super) fn follow(stderr: ChildStderr, path: PathBuf) -> Tail {
    let tail = Tail::default();
    let lines = tail.clone();
    tokio::spawn(async move {
        let mut reader = BufReader::new(stderr);
        let mut file = open(&path).await;
        let mut line = Vec::new();
        while let Ok(true) = read_line(&mut reader, &mut line).await {
            lines.push(String::from_utf8_lossy(&line).trim_end());
            file = append(file, &path, &line).await;
        }
    });
    tail
}

/// Read a line, of which no more is held than is kept: a statement decides how long it is. False at the end.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> io::Result<bool> {
    line.clear();
    let mut has_begun = false;
    loop {
        let read = reader.fill_buf().await?;
        let end = memchr::memchr(b'\n', read);
        let part = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
        let room = limits::LOG_LINE_BYTES.saturating_sub(line.len());
        line.extend(part.iter().take(room));
        has_begun |= !read.is_empty();
        let (is_last, used) = (read.is_empty(), part.len() + usize::from(end.is_some()));
        reader.consume(used);
        if end.is_some() || is_last {
            line.push(b'\n');
            return Ok(has_begun);
        }
    }
}

/// A disk that is full must not stop the server, so failures only lose lines.
async fn append(file: Option<(File, u64)>, path: &PathBuf, line: &[u8]) -> Option<(File, u64)> {
    let (mut file, size) = match file {
        Some((file, size)) if size < limits::LOG_FILE_BYTES => (file, size),
        Some(_) => {
            let _ = fs::rename(path, path.with_extension("log.1")).await;
            open(path).await?
        }
        None => open(path).await?,
    };
    file.write_all(line).await.ok()?;
    file.flush().await.ok()?;
    Some((file, size + u64::try_from(line.len()).unwrap_or_default()))
}

async fn open(path: &PathBuf) -> Option<(File, u64)> {
    let mut options = OpenOptions::from(owned::options());
    let file = options.create(true).append(true).mode(0o600).open(path).await.ok()?;
    let size = file.metadata().await.ok()?.len();
    Some((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_long_line_no_more_is_held_than_is_kept() {
        let long = "x".repeat(100 * limits::LOG_LINE_BYTES);
        let said = format!("one\n\n{long}\nlast");
        let mut reader = BufReader::with_capacity(1000, said.as_bytes());
        let (mut line, mut seen) = (Vec::new(), Vec::new());
        while read_line(&mut reader, &mut line).await.unwrap() {
            assert!(line.capacity() <= 2 * (limits::LOG_LINE_BYTES + 1), "{}", line.capacity());
            seen.push(String::from_utf8(line.clone()).unwrap());
        }
        let kept = format!("{}\n", &long[..limits::LOG_LINE_BYTES]);
        assert_eq!(seen, ["one\n", "\n", &kept, "last\n"]);
    }
}
