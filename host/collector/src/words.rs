//! What a search finds: the words of a text, and the words that are searched for, cut in the same way.
//!
//! It exists so that no text that is searched for can be an error or a command of the full-text index: both sides are
//! letters and digits with single spaces, and the index (its tokenizer `ascii`) cuts at spaces only. It knows no SQL.

use std::borrow::Cow;
use std::collections::HashSet;

use wasm_host_limits::telemetry as limits;

/// A word that is longer is cut on both sides: an index of whole paragraphs without a space is of no use.
const WORD_BYTES: usize = 64;

/// The words of `text`, in small letters.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(small)
}

fn small(word: &str) -> String {
    let cut = word.get(..word.floor_char_boundary(WORD_BYTES)).unwrap_or_default();
    match cut.is_ascii() {
        true => cut.to_ascii_lowercase(),
        // Small letters of some capitals have marks that are no letters; the other side has them, too.
        false => cut.to_lowercase(),
    }
}

/// What a line of the log is found by, cut at a bound: all that a list shows of it but its service and level. `fields`: the
/// values of texts and whole numbers, by their names.
pub(super) fn of_line(
    message: &str,
    apart: [Option<&str>; 2],
    mut fields: Vec<(&str, Cow<'_, str>)>,
) -> String {
    // As they are read again in another order.
    fields.sort_by_key(|(name, _)| *name);
    let said = fields.iter().map(|(_, value)| &**value);
    let mut text = String::with_capacity(message.len());
    for word in apart.into_iter().flatten().chain([message]).chain(said).flat_map(words) {
        if text.len() >= limits::STORED_WORDS_BYTES {
            break;
        }
        text.push_str(&word);
        text.push(' ');
    }
    text
}

/// Texts as the index takes them.
#[derive(Default)]
pub(super) struct Indexed {
    seen: HashSet<String>,
    pub text: String,
}

impl Indexed {
    /// What was indexed before.
    pub(super) fn of(text: &str) -> Self {
        let mut all = Self::default();
        text.split(' ').filter(|word| !word.is_empty()).for_each(|word| all.push(word.to_owned()));
        all
    }

    /// Each word counts once.
    pub(super) fn add(&mut self, text: &str) {
        for word in words(text) {
            if self.text.len() >= limits::STORED_WORDS_BYTES {
                return;
            }
            self.push(word);
        }
    }

    fn push(&mut self, word: String) {
        if self.seen.contains(&word) {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&word);
        self.seen.insert(word);
    }
}

/// What is asked of the index for the words of a search: all of them, and the last one may go on. None: there is no
/// word in it.
pub(super) fn question(search: &str) -> Option<String> {
    let mut asked: Vec<String> = words(search).take(limits::SEARCH_WORDS).collect();
    let last = asked.pop()?;
    let mut question: String = asked.iter().map(|word| format!("\"{word}\" AND ")).collect();
    question.push_str(&format!("\"{last}\"*"));
    Some(question)
}

/// The words of a search, held against texts that the index is not asked about.
pub(super) struct Sought {
    whole: Vec<String>,
    /// It may go on.
    last: Option<String>,
}

impl Sought {
    pub(super) fn of(search: &str) -> Self {
        let mut whole: Vec<String> = words(search).take(limits::SEARCH_WORDS).collect();
        let last = whole.pop();
        Self { whole, last }
    }

    /// Whether all of them are among these.
    pub(super) fn is_in(&self, words: &HashSet<String>) -> bool {
        let goes_on = |last: &String| words.iter().any(|word| word.starts_with(last));
        self.last.as_ref().is_some_and(goes_on)
            && self.whole.iter().all(|word| words.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_in_small_letters() {
        let found: Vec<_> = words("GET /Weather?q=Zürich \"x\"* OR NEAR(a, b) -c:\0d").collect();
        let expected = ["get", "weather", "q", "zürich", "x", "or", "near", "a", "b", "c", "d"];
        assert_eq!(found, expected);
        assert_eq!(words(" ,;\n\"'").count(), 0);
        assert_eq!(words(&"é".repeat(100)).next().unwrap().len(), 64);
    }

    #[test]
    fn a_question_has_quoted_words_and_the_last_may_go_on() {
        assert_eq!(question("time-out of wea").unwrap(), r#""time" AND "out" AND "of" AND "wea"*"#);
        assert_eq!(question("\"* ("), None);
        assert_eq!(
            question(&"a ".repeat(1000)).unwrap().matches('a').count(),
            limits::SEARCH_WORDS
        );
    }

    #[test]
    fn an_index_has_each_word_once_and_goes_on_with_what_it_had() {
        let mut all = Indexed::default();
        all.add("SELECT one");
        all.add("select Two");
        assert_eq!(all.text, "select one two");
        let mut more = Indexed::of(&all.text);
        more.add("two three");
        assert_eq!(more.text, "select one two three");
    }
}
