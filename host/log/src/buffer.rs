//! A bounded buffer between the code that logs and the program that reads the log.

use std::io::{self, Write};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use wasm_host_system::counted::counted;

/// Bytes on their way to a log. A `&Buffer` is a writer that never waits.
pub(super) struct Buffer {
    limit: usize,
    state: Mutex<BufferState>,
    /// There is something to write.
    filled: Condvar,
    /// All of it has been written.
    emptied: Condvar,
}

struct BufferState {
    waiting: Vec<u8>,
    /// Lines that did not fit since the last one that did.
    dropped: u64,
    /// Some have been taken from here and are not yet written.
    writing: bool,
}

impl Buffer {
    pub(super) const fn new(limit: usize) -> Self {
        let state = BufferState { waiting: Vec::new(), dropped: 0, writing: false };
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        Self { limit, state: Mutex::new(state), filled, emptied }
    }

    /// Write everything that comes, for ever.
    pub(super) fn write_all_to(&self, mut log: impl Write) {
        let mut batch = Vec::new();
        loop {
            self.take(&mut batch);
            // There is no place to say that the log cannot be written.
            let _ = log.write_all(&batch).and_then(|()| log.flush());
            batch.clear();
            self.lock().writing = false;
            self.emptied.notify_all();
        }
    }

    /// Wait until all is written, or for this long.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut BufferState| state.writing || !state.waiting.is_empty();
        // Whether in time or not: there is nothing else to be done.
        let _ = self.emptied.wait_while_for(&mut self.lock(), is_busy, patience);
    }

    /// Wait for something to write.
    fn take(&self, batch: &mut Vec<u8>) {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.dropped == 0 {
            self.filled.wait(&mut state);
        }
        std::mem::swap(&mut state.waiting, batch);
        state.writing = true;
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            let note = format!(
                "dropped {} of the log: nobody read it in time\n",
                counted(dropped, "line")
            );
            batch.extend_from_slice(note.as_bytes());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock()
    }
}

impl Write for &Buffer {
    /// Takes a whole line or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        // Once one is dropped, so is what comes behind it until there is room for all: the note about
        // them stands where they would have.
        if state.dropped > 0 || state.waiting.len() + line.len() > self.limit {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
        drop(state);
        self.filled.notify_one();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A log whose reader takes one batch for each permission.
    struct Stuck {
        entered: SyncSender<()>,
        permissions: Receiver<()>,
        written: SyncSender<String>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.entered.send(()).map_err(io::Error::other)?;
            self.permissions.recv().map_err(io::Error::other)?;
            self.written
                .send(String::from_utf8_lossy(bytes).into_owned())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up_and_says_what_is_missing() {
        static BUFFER: Buffer = Buffer::new(20);
        let patience = Duration::from_secs(10);
        let (enter, entered) = sync_channel(9);
        let (permit, permissions) = sync_channel(9);
        let (written, lines) = sync_channel(9);
        let log = Stuck { entered: enter, permissions, written };
        std::thread::spawn(move || BUFFER.write_all_to(log));
        let line = |number: u8| (&BUFFER).write_all(format!("line {number:03}\n").as_bytes());
        // The first is taken before the others come: else it is chance which of them fit.
        line(0).unwrap();
        entered.recv_timeout(patience).unwrap();
        // Returns although nothing is read.
        for number in 1..100 {
            line(number).unwrap();
        }
        BUFFER.flush(Duration::from_millis(1));
        permit.send(()).unwrap();
        assert_eq!(lines.recv_timeout(patience).unwrap(), "line 000\n");
        permit.send(()).unwrap();
        assert_eq!(
            lines.recv_timeout(patience).unwrap(),
            "line 001\nline 002\ndropped 97 lines of the log: nobody read it in time\n"
        );
        // Room again.
        (&BUFFER).write_all(b"after\n").unwrap();
        permit.send(()).unwrap();
        assert_eq!(lines.recv_timeout(patience).unwrap(), "after\n");
        BUFFER.flush(patience);
        assert!(BUFFER.lock().waiting.is_empty());
    }
}
