//! Training: counts which token follows which in the corpus. It runs in the build script; the
//! component carries only the finished table. Compiled into the component's tests as well.
//!
//! The corpus is plain text. A blank line separates paragraphs; a paragraph is what an answer is
//! made of. Lines that begin with `Q:` are questions which the paragraph answers: their words lead
//! to it and are never generated. A paragraph without them is found by its own words.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{self, CONTEXT_MAX};

/// A table, owned. Tokens are indices into `words`.
pub(crate) struct Trained {
    pub words: Vec<String>,
    /// By the length of the context minus one.
    pub orders: Vec<OrderTable>,
    /// The first tokens of every sentence: paragraph, place of the sentence in it, tokens.
    pub starts: Vec<(u16, u16, [u16; CONTEXT_MAX])>,
    /// Of every paragraph: the words of its questions and the words of its text.
    pub paragraphs: Vec<(Vec<u16>, Vec<u16>)>,
}

/// What follows each context of one length.
#[derive(Default)]
pub(crate) struct OrderTable {
    /// The contexts one after another, sorted.
    pub contexts: Vec<u16>,
    /// Where the followers of each context end in `followers`.
    pub ends: Vec<u32>,
    /// A token and how often it was seen after the context.
    pub followers: Vec<(u16, u16)>,
}

/// Train on the text of the corpus. The error says which sentence is unfit.
pub(crate) fn train(corpus: &str) -> Result<Trained, String> {
    let mut vocabulary = Vocabulary::default();
    let mut sentences: Vec<Vec<u16>> = Vec::new();
    let mut starts = Vec::new();
    let mut paragraphs = Vec::new();

    for text in corpus.split("\n\n").filter(|text| !text.trim().is_empty()) {
        let paragraph = u16::try_from(paragraphs.len()).map_err(|_| "too many paragraphs")?;
        let (mut questions, mut prose) = (String::new(), String::new());
        for line in text.lines() {
            let (part, line) = match line.strip_prefix("Q:") {
                Some(question) => (&mut questions, question),
                None => (&mut prose, line),
            };
            part.push_str(line);
            part.push(' ');
        }
        let said = vocabulary.numbers(&prose)?;
        for (place, sentence) in cut(&said, &vocabulary).into_iter().enumerate() {
            let place = u16::try_from(place).map_err(|_| "a paragraph is too long")?;
            let shown = || vocabulary.text(&sentence);
            let &[a, b, c, _, ..] = sentence.as_slice() else {
                return Err(format!("too short a sentence: {}", shown()));
            };
            if !sentence.last().is_some_and(|&last| vocabulary.ends_sentence(last)) {
                return Err(format!("a sentence without an end: {}", shown()));
            }
            starts.push((paragraph, place, [a, b, c]));
            sentences.push(sentence);
        }
        paragraphs.push((distinct(vocabulary.numbers(&questions)?), distinct(said)));
    }

    let orders = (1..=CONTEXT_MAX).map(|length| count(&sentences, length)).collect();
    Ok(Trained { words: vocabulary.words, orders, starts, paragraphs })
}

fn distinct(numbers: Vec<u16>) -> Vec<u16> {
    numbers.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Cut a paragraph after each token that ends a sentence.
fn cut(tokens: &[u16], vocabulary: &Vocabulary) -> Vec<Vec<u16>> {
    tokens.split_inclusive(|&token| vocabulary.ends_sentence(token)).map(<[u16]>::to_vec).collect()
}

fn count(sentences: &[Vec<u16>], length: usize) -> OrderTable {
    let mut seen: BTreeMap<&[u16], BTreeMap<u16, u16>> = BTreeMap::new();
    for window in sentences.iter().flat_map(|sentence| sentence.windows(length + 1)) {
        if let Some((&next, context)) = window.split_last() {
            let count = seen.entry(context).or_default().entry(next).or_default();
            *count = count.saturating_add(1);
        }
    }
    let mut table = OrderTable::default();
    for (context, followers) in seen {
        table.contexts.extend_from_slice(context);
        table.followers.extend(followers);
        table.ends.push(u32::try_from(table.followers.len()).unwrap_or(u32::MAX));
    }
    table
}

#[derive(Default)]
struct Vocabulary {
    words: Vec<String>,
    numbers: BTreeMap<String, u16>,
}

impl Vocabulary {
    fn numbers(&mut self, text: &str) -> Result<Vec<u16>, String> {
        tokens::split(text).into_iter().map(|token| self.number(token)).collect()
    }

    fn number(&mut self, token: &str) -> Result<u16, String> {
        if let Some(&number) = self.numbers.get(token) {
            return Ok(number);
        }
        let number = u16::try_from(self.words.len()).map_err(|_| "too many different words")?;
        self.words.push(token.to_string());
        self.numbers.insert(token.to_string(), number);
        Ok(number)
    }

    fn word(&self, number: u16) -> &str {
        self.words.get(usize::from(number)).map_or("", String::as_str)
    }

    fn ends_sentence(&self, number: u16) -> bool {
        tokens::ends_sentence(self.word(number))
    }

    fn text(&self, numbers: &[u16]) -> String {
        numbers.iter().map(|&number| self.word(number)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_follows_each_context() {
        let trained = train("Q: Why?\nThe cat sat down.\n\nThe cat ran\naway quickly.").unwrap();
        let number = |word| trained.words.iter().position(|known| known == word).unwrap() as u16;
        let order = &trained.orders[1];
        let at = order
            .contexts
            .chunks(2)
            .position(|context| context == [number("The"), number("cat")])
            .unwrap();
        let from = if at == 0 { 0 } else { order.ends[at - 1] as usize };
        let followers = &order.followers[from..order.ends[at] as usize];
        assert_eq!(followers, [(number("sat"), 1), (number("ran"), 1)]);
        assert_eq!(trained.starts.len(), 2);
        assert_eq!(trained.starts[1].0, 1);
        assert_eq!(trained.paragraphs[0].0.len(), 2);
    }

    #[test]
    fn refuses_text_that_an_answer_could_not_be_made_of() {
        assert!(train("It is so.").is_ok());
        assert!(train("No.").err().unwrap().contains("No ."));
        assert!(train("This has no end").err().unwrap().contains("This has no end"));
    }
}
