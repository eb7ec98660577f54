//! Counting tests in what test runners print: cargo's, Vitest, Node's, and the host's own.

use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Counts {
    pub(super) fn total(self) -> usize {
        self.passed + self.failed
    }

    /// Takes in one line of output, which mostly says nothing about counts.
    pub(super) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        if let Some(rest) = line.strip_prefix("test result: ") {
            // test result: ok. 3 passed; 0 failed; 0 ignored; ...
            let counts = rest.split_once(". ").map_or("", |(_, counts)| counts);
            self.add_words(counts.split(';'));
        } else if let Some(rest) = line.trim_start().strip_prefix("Tests  ") {
            // Tests  1 failed | 12 passed (13)
            let counts = rest.split(" (").next().unwrap_or_default();
            self.add_words(counts.split('|'));
        } else if line.contains(" passed, ") && line.contains(" failed in ") {
            // 12 passed, 1 failed in 0.51 s (...)
            let counts = line.split(" in ").next().unwrap_or_default();
            self.add_words(counts.split(','));
        } else if let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) {
            // # pass 3, on a line of its own
            match rest.split_once(' ') {
                Some(("pass", number)) => self.passed += number.trim().parse().unwrap_or(0),
                Some(("fail" | "cancelled", number)) => {
                    self.failed += number.trim().parse().unwrap_or(0);
                }
                _ => {}
            }
        }
    }

    fn add_words<'a>(&mut self, counts: impl Iterator<Item = &'a str>) {
        for count in counts {
            match count.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Drops the terminal's colour codes: ESC [ ... m.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, text)| text));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(output: &str) -> Counts {
        let mut counts = Counts::default();
        output.lines().for_each(|line| counts.read(line));
        counts
    }

    #[test]
    fn cargo_is_summed_over_its_test_binaries() {
        let output = "running 2 tests\ntest a ... ok\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
            test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(count(output), Counts { passed: 5, failed: 4 });
    }

    #[test]
    fn vitest_counts_tests_and_not_files() {
        let output = " Test Files  1 failed | 2 passed (3)\n      Tests  1 failed | 12 passed (13)";
        assert_eq!(count(output), Counts { passed: 12, failed: 1 });
    }

    #[test]
    fn vitest_counts_in_colour_too() {
        let output = "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m7 passed\u{1b}[39m (7)";
        assert_eq!(count(output), Counts { passed: 7, failed: 0 });
    }

    #[test]
    fn node_counts_in_both_of_its_formats() {
        let tap = "# tests 4\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 0";
        assert_eq!(count(tap), Counts { passed: 2, failed: 2 });
        assert_eq!(count("ℹ pass 3\nℹ fail 0"), Counts { passed: 3, failed: 0 });
    }

    #[test]
    fn the_cases_of_components_are_counted() {
        let line = "12 passed, 1 failed in 0.51 s (components loaded in 0.40 s)";
        assert_eq!(count(line), Counts { passed: 12, failed: 1 });
        assert_eq!(count("ollama/5 passed, or so"), Counts::default());
    }

    #[test]
    fn other_lines_count_nothing() {
        assert_eq!(count("# passing\n# pass\nTests are fine\ntest result: ok"), Counts::default());
    }
}
