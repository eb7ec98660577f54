//! What was expected against what happened, and the difference for people.
//!
//! Both sides are written as lines in the same way. What agrees though it is spelled otherwise (white space in JSON,
//! the width of an integer) is written alike, so that the difference shows only what is wrong.

mod lines;

use similar::{ChangeTag, TextDiff};

use super::case::{Case, Matching, ResponseEnd};
use super::run::{Observed, RunEnd};
use super::script::ObservedCall;

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about: `response`, `calls`, `log`, `time`.
    pub about: &'static str,
    /// The difference: in lines that begin with `-` (expected), `+` (seen) or a space, or a sentence.
    pub text: String,
}

/// Everything that is not as the case expects. Nothing: it passes.
pub fn judge(case: &Case, observed: &Observed) -> Vec<Difference> {
    let mut differences = Vec::new();
    match observed.end {
        RunEnd::Computing => differences.push(Difference {
            about: "time",
            text: format!(
                "It computed for {:.1?} without giving way, and was ended. Does it loop? More time is `timeout` in the case, or --timeout.",
                observed.took
            ),
        }),
        RunEnd::Waiting => differences.push(Difference {
            about: "time",
            text: format!(
                "After {} of virtual time it still waited, and was ended. More time is `patience` in the case.",
                super::case::forms::show_duration(case.patience)
            ),
        }),
        RunEnd::Response(_) => {}
    }
    differences.extend(response(case, observed));
    differences.extend(calls(case, observed));
    let missing = case.log.iter().filter(|text| !observed.log.contains(text.as_str()));
    differences.extend(
        missing
            .map(|text| Difference { about: "log", text: format!("It did not print '{text}'.") }),
    );
    differences
}

fn response(case: &Case, observed: &Observed) -> Option<Difference> {
    let Some(expected) = &case.response else {
        let text = "The case has no [response]. With --bless, what was seen is written into it.";
        return Some(Difference { about: "response", text: text.to_string() });
    };
    let (expected, seen) = lines::response(expected, observed);
    difference("response", &expected, &seen)
}

fn calls(case: &Case, observed: &Observed) -> Option<Difference> {
    let (expected, seen) = match case.matching {
        Matching::Strict => lines::calls(case, &observed.calls),
        Matching::Lenient => {
            // What has no answer is ignored, what was answered closely enough counts, but a call that was given
            // up, or a transaction that ended otherwise, is reported.
            let answered: Vec<ObservedCall> =
                observed.calls.iter().filter(|seen| seen.answered_by.is_some()).cloned().collect();
            lines::endings(case, &answered)
        }
    };
    difference("calls", &expected, &seen)
}

fn difference(about: &'static str, expected: &str, seen: &str) -> Option<Difference> {
    if expected == seen {
        return None;
    }
    Some(Difference { about, text: diff(expected, seen) })
}

/// The lines of both, those of one side only marked.
pub fn diff(expected: &str, seen: &str) -> String {
    let mut text = String::new();
    for change in TextDiff::from_lines(expected, seen).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        text.push(sign);
        text.push(' ');
        text.push_str(change.value());
        if !change.value().ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// How a response ended, as a word.
pub fn ending(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Response(end) => end.name(),
        RunEnd::Computing => "computing",
        RunEnd::Waiting => "waiting",
    }
}

/// Whether what was seen can be written down as what is expected.
pub(super) fn can_be_expected(observed: &Observed) -> Option<ResponseEnd> {
    match observed.end {
        RunEnd::Response(end) => Some(end),
        RunEnd::Computing | RunEnd::Waiting => None,
    }
}

#[cfg(test)]
mod tests;
