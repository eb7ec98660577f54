//! Text out of the table: pure, and the same for the same prompt, options and seed.
//!
//! An answer has one to four sentences. Each begins as a sentence of a paragraph which shares words
//! with the prompt, and goes on with tokens that were seen after the last few tokens. Now and then
//! one token of context is dropped, so that the text can leave the sentence that it came from.

use std::collections::BTreeSet;

use crate::random::Random;
use crate::table::{Start, Table};
use crate::tokens::{CONTEXT_MAX, ends_sentence, takes_space};
use crate::topics::{Prompt, Topics};

const SENTENCES_MAX: usize = 4;
/// A sentence that finds no end by itself is ended here.
const SENTENCE_TOKENS_MAX: usize = 48;
/// How much more often a word is chosen when the relevant paragraphs have it.
const ON_TOPIC: f64 = 5.0;

/// Which of its words a model chooses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub seed: u64,
    /// 0 always takes the likeliest token.
    pub temperature: f64,
    /// At most so many tokens.
    pub num_predict: Option<usize>,
    /// The text ends before the first of these.
    pub stop: Vec<String>,
}

/// A whole answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// One per token, with the blank before it: put together they are the text.
    pub pieces: Vec<String>,
    pub cut_off: bool,
}

/// Answer a prompt, looking back at most `context` tokens.
pub(crate) fn answer(
    table: &Table,
    topics: &Topics,
    context: usize,
    prompt: &[Prompt],
    options: &Options,
) -> Answer {
    let mut writer = Writer::new(table, topics, context, prompt, options);
    let mut pieces = Vec::new();
    for token in writer.sentences() {
        let word = table.word(token);
        let blank = if takes_space(word) && !pieces.is_empty() { " " } else { "" };
        pieces.push(format!("{blank}{word}"));
    }
    let cut_off = options.num_predict.is_some_and(|most| most < pieces.len());
    if let Some(most) = options.num_predict {
        pieces.truncate(most);
    }
    let stopped = stop(&mut pieces, &options.stop);
    Answer { pieces, cut_off: cut_off && !stopped }
}

/// Cut the text before the first of `stops`; says whether there was one.
fn stop(pieces: &mut Vec<String>, stops: &[String]) -> bool {
    let text = pieces.concat();
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop));
    let Some(mut left) = found.min() else { return false };
    let mut kept = 0;
    for piece in pieces.iter_mut() {
        if left == 0 {
            break;
        }
        piece.truncate(left);
        left -= piece.len();
        kept += 1;
    }
    pieces.truncate(kept);
    true
}

struct Writer<'a> {
    table: &'a Table<'a>,
    context: usize,
    temperature: f64,
    random: Random,
    relevant: Vec<(u16, f64)>,
    on_topic: BTreeSet<u16>,
}

impl<'a> Writer<'a> {
    fn new(
        table: &'a Table<'a>,
        topics: &Topics,
        context: usize,
        prompt: &[Prompt],
        options: &Options,
    ) -> Self {
        let relevant = topics.relevant(prompt);
        let on_topic = relevant
            .iter()
            .filter_map(|(paragraph, _)| table.paragraphs.get(usize::from(*paragraph)))
            .flat_map(|paragraph| paragraph.said.iter().copied())
            .collect();
        Self {
            table,
            context: context.clamp(1, CONTEXT_MAX),
            temperature: options.temperature.clamp(0.0, 2.0),
            random: Random::new(options.seed),
            relevant,
            on_topic,
        }
    }

    fn sentences(&mut self) -> Vec<u16> {
        let mut text: Vec<u16> = Vec::new();
        let mut said: Vec<Vec<u16>> = Vec::new();
        let mut used: Vec<&Start> = Vec::new();
        let wanted = 2 + self.random.below(SENTENCES_MAX - 1);
        // A sentence that was said already is thrown away, so there are a few more tries than
        // wanted.
        for _ in 0..2 * SENTENCES_MAX {
            if said.len() == wanted {
                break;
            }
            let Some(start) = self.start(&used) else { break };
            used.push(start);
            let sentence = self.sentence(start);
            if !said.contains(&sentence) {
                text.extend(&sentence);
                said.push(sentence);
            }
        }
        text
    }

    /// Where the next sentence begins: first at the head of a relevant paragraph, then preferably
    /// further down in the same one.
    fn start(&mut self, used: &[&Start]) -> Option<&'a Start> {
        let first = used.first().map(|start| start.paragraph);
        let last = used.last().map_or(0, |start| start.place);
        let mut candidates = Vec::new();
        for start in self.table.starts {
            let score = self.relevant.iter().find(|(number, _)| *number == start.paragraph);
            let Some((_, score)) = score else { continue };
            let weight = match first {
                None if start.place == 0 => score * score,
                Some(first) if first == start.paragraph && start.place == last + 1 => 8.0 * score,
                Some(first) if first == start.paragraph && start.place > last => 4.0 * score,
                Some(_) if start.place > 0 && start.place > last => 0.5 * score,
                _ => continue,
            };
            candidates.push((start, weight));
        }
        self.pick(&candidates)
    }

    fn sentence(&mut self, start: &Start) -> Vec<u16> {
        let mut sentence = start.tokens.to_vec();
        while sentence.len() < SENTENCE_TOKENS_MAX {
            let Some(next) = self.next(&sentence) else { return sentence };
            sentence.push(next);
            if ends_sentence(self.table.word(next)) {
                return sentence;
            }
        }
        let end = self.table.words.iter().zip(0..).find(|(word, _)| ends_sentence(word));
        sentence.extend(end.map(|(_, token)| token));
        sentence
    }

    fn next(&mut self, sentence: &[u16]) -> Option<u16> {
        let mut length = self.context.min(sentence.len());
        let leaps = length > 1 && self.random.part() < self.leap() * self.temperature;
        if leaps {
            length -= 1;
        }
        let followers = loop {
            let (_, context) = sentence.split_at(sentence.len().saturating_sub(length));
            let followers = self.table.followers(context);
            if !followers.is_empty() || length == 0 {
                break followers;
            }
            length -= 1;
        };
        let candidates: Vec<(u16, f64)> = followers
            .iter()
            .map(|&(token, count)| {
                let topic = if self.on_topic.contains(&token) { ON_TOPIC } else { 1.0 };
                // An end that is reached by a leap reads as if the sentence was broken off.
                let end = leaps && ends_sentence(self.table.word(token));
                let again = repeats(sentence, token);
                (token, f64::from(count) * topic * if end || again { 0.02 } else { 1.0 })
            })
            .collect();
        self.pick(&candidates)
    }

    /// How often one token of context is dropped at a temperature of 1. With two tokens left a text
    /// still holds together; with one it hardly does.
    fn leap(&self) -> f64 {
        if self.context > 2 { 0.15 } else { 0.03 }
    }

    /// One of the candidates, by weight and temperature.
    fn pick<T: Copy>(&mut self, candidates: &[(T, f64)]) -> Option<T> {
        let heaviest = candidates.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        if self.temperature <= f64::EPSILON {
            let first = candidates.iter().find(|(_, weight)| *weight >= heaviest);
            return first.map(|(candidate, _)| *candidate);
        }
        // Relative to the heaviest, so that no power overflows.
        let power = |weight: f64| (weight / heaviest).powf(1.0 / self.temperature);
        let total: f64 = candidates.iter().map(|(_, weight)| power(*weight)).sum();
        let mut left = self.random.part() * total;
        for (candidate, weight) in candidates {
            left -= power(*weight);
            if left <= 0.0 {
                return Some(*candidate);
            }
        }
        candidates.last().map(|(candidate, _)| *candidate)
    }
}

/// Whether the sentence has its last two tokens and this one already: it would go in circles.
fn repeats(sentence: &[u16], token: u16) -> bool {
    let [.., first, second] = *sentence else { return false };
    sentence.windows(3).any(|window| window == [first, second, token])
}

#[cfg(test)]
mod tests;
