//! Bytes to lines, pure: no I/O, no JSON. Chunks may be cut anywhere, inside a character too.

/// A line that is no line of this protocol. Nothing is read after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineError {
    TooLong { limit: usize },
    NotUtf8,
}

impl std::fmt::Display for LineError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { limit } => write!(formatter, "a line of more than {limit} bytes"),
            Self::NotUtf8 => formatter.write_str("a line that is not UTF-8"),
        }
    }
}

/// Collects chunks and gives back lines, without their end. Empty lines are left out.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no line end, so that no byte is looked at twice.
    scanned: usize,
    ended: bool,
    limit: usize,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, ended: false, limit }
    }

    /// Add what has arrived. Take all lines out before adding more: this bounds the buffer.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing more arrives: what is left is a line.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Result<String, LineError>> {
        loop {
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            let (line_end, next) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(length) => (self.scanned + length, self.scanned + length + 1),
                None => {
                    self.scanned = self.buffer.len();
                    let waiting = self.buffer.get(self.start..).unwrap_or_default();
                    // A `\r` here may be the first half of a line end.
                    let line = waiting.strip_suffix(b"\r").unwrap_or(waiting);
                    if line.len() > self.limit {
                        return self.fail(LineError::TooLong { limit: self.limit });
                    }
                    if !self.ended || waiting.is_empty() {
                        return None;
                    }
                    (self.buffer.len(), self.buffer.len())
                }
            };
            let line = self.buffer.get(self.start..line_end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > self.limit {
                return self.fail(LineError::TooLong { limit: self.limit });
            }
            let Ok(line) = std::str::from_utf8(line) else {
                return self.fail(LineError::NotUtf8);
            };
            let line = (!line.trim().is_empty()).then(|| line.to_string());
            self.start = next;
            self.scanned = next;
            if line.is_some() {
                return line.map(Ok);
            }
        }
    }

    /// Give the error once; then there is nothing more.
    fn fail(&mut self, error: LineError) -> Option<Result<String, LineError>> {
        *self = Self { ended: true, ..Self::new(self.limit) };
        Some(Err(error))
    }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]], limit: usize) -> Vec<Result<String, LineError>> {
        let mut lines = Lines::new(limit);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            found.extend(std::iter::from_fn(|| lines.next()));
        }
        lines.end();
        found.extend(std::iter::from_fn(|| lines.next()));
        found
    }

    #[test]
    fn every_cut_gives_the_same_lines() {
        let text = "{\"a\":\"žluťoučký 🦙\"}\r\n\n{\"b\":1}\n \r\n{\"tail\":true}".as_bytes();
        let expected: Vec<_> = ["{\"a\":\"žluťoučký 🦙\"}", "{\"b\":1}", "{\"tail\":true}"]
            .map(|line| Ok(line.to_string()))
            .into();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let chunks = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(lines(&chunks, 100), expected, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(lines(&bytes, 100), expected);
    }

    #[test]
    fn a_line_over_the_bound_is_refused_whether_or_not_it_ends() {
        let too_long = Err(LineError::TooLong { limit: 4 });
        assert_eq!(lines(&[b"1234\n12345\n"], 4), [Ok("1234".to_string()), too_long]);
        let mut unended = Lines::new(4);
        unended.push(b"1234");
        assert_eq!(unended.next(), None);
        unended.push(b"5");
        assert_eq!(unended.next(), Some(Err(LineError::TooLong { limit: 4 })));
    }

    #[test]
    fn a_line_end_does_not_count_wherever_it_is_cut() {
        let text = b"1234\r\n12\n";
        for cut in 0..=text.len() {
            let found = lines(&[&text[..cut], &text[cut..]], 4);
            assert_eq!(found, ["1234", "12"].map(|line| Ok(line.to_string())), "cut at {cut}");
        }
        // A `\r` within a line is part of it.
        let text = b"1234\rx\n";
        for cut in 0..=text.len() {
            let found = lines(&[&text[..cut], &text[cut..]], 4);
            assert_eq!(found[0], Err(LineError::TooLong { limit: 4 }), "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(lines(&[b"{\"a\":\"\xff\"}\n"], 100), [Err(LineError::NotUtf8)]);
    }
}
