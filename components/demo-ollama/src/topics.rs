//! Which paragraphs of the corpus a prompt is about: those that share its rarer words. It steers
//! the generation; it makes no text.

use std::collections::BTreeMap;

use crate::table::Table;
use crate::tokens::{split, stem};

/// What to talk about when a prompt has no word that the model knows: itself.
const NO_TOPIC: &str = "demo";

/// A word in a question that a paragraph answers says more about it than a word in its text.
const ASKED: f64 = 3.0;
const SAID: f64 = 1.0;

/// Paragraphs that score less than this part of the best one are about something else.
const RELEVANT: f64 = 0.6;
const RELEVANT_MAX: usize = 4;

/// The paragraphs by the stems of their words. Built once per instance.
pub(crate) struct Topics {
    by_stem: BTreeMap<String, BTreeMap<u16, f64>>,
    paragraphs: usize,
}

/// Part of a prompt, and how much it matters: the last message of a conversation more than the
/// first.
pub(crate) struct Prompt<'a> {
    pub text: &'a str,
    pub weight: f64,
}

impl Topics {
    pub(crate) fn new(table: &Table) -> Self {
        let mut by_stem: BTreeMap<String, BTreeMap<u16, f64>> = BTreeMap::new();
        for (paragraph, number) in table.paragraphs.iter().zip(0..) {
            for (words, weight) in [(paragraph.said, SAID), (paragraph.asked, ASKED)] {
                for stem in words.iter().filter_map(|&word| stem(table.word(word))) {
                    let best = by_stem.entry(stem).or_default().entry(number).or_default();
                    *best = best.max(weight);
                }
            }
        }
        Self { by_stem, paragraphs: table.paragraphs.len() }
    }

    /// The paragraphs that `prompt` is about with their scores, best first; never empty unless the
    /// corpus is.
    pub(crate) fn relevant(&self, prompt: &[Prompt]) -> Vec<(u16, f64)> {
        let found = self.scored(prompt);
        if found.is_empty() {
            return self.scored(&[Prompt { text: NO_TOPIC, weight: 1.0 }]);
        }
        found
    }

    fn scored(&self, prompt: &[Prompt]) -> Vec<(u16, f64)> {
        let mut stems: BTreeMap<String, f64> = BTreeMap::new();
        for part in prompt {
            for stem in split(part.text).into_iter().filter_map(stem) {
                let weight = stems.entry(stem).or_default();
                *weight = weight.max(part.weight);
            }
        }
        let mut scores: BTreeMap<u16, f64> = BTreeMap::new();
        for (stem, weight) in stems {
            let Some(paragraphs) = self.by_stem.get(&stem) else { continue };
            // A word that stands in half of the paragraphs says little about any of them.
            let rarity = (1.0 + self.paragraphs as f64 / paragraphs.len() as f64).ln();
            for (&paragraph, part) in paragraphs {
                *scores.entry(paragraph).or_default() += part * rarity * weight;
            }
        }
        let mut scores: Vec<_> = scores.into_iter().collect();
        scores.sort_by(|one, other| other.1.total_cmp(&one.1));
        let best = scores.first().map_or(0.0, |first| first.1);
        scores.retain(|(_, score)| *score >= best * RELEVANT);
        scores.truncate(RELEVANT_MAX);
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLE;

    /// The text of the questions of the best paragraph.
    fn best(text: &str) -> String {
        let found = Topics::new(&TABLE).relevant(&[Prompt { text, weight: 1.0 }]);
        let paragraph = &TABLE.paragraphs[usize::from(found[0].0)];
        paragraph.asked.iter().map(|&word| TABLE.word(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_prompt_finds_the_text_about_its_words() {
        assert!(best("How do I make a vegetable soup?").contains("recipe"));
        assert!(best("What's the weather forecast?").contains("forecast"));
        assert!(best("how can i swap versions of my service").contains("swap"));
        assert!(best("Tell me about databases").contains("Postgres"));
        assert!(best("Why is the sky blue?").contains("sky"));
        assert!(best("Are you an AI?").contains("language"));
    }

    #[test]
    fn unknown_words_lead_to_the_demo_itself() {
        for text in ["", "Who are you?", "xyzzy quux", "天気は?", "?!"] {
            assert!(best(text).contains("demo"), "{text}");
        }
    }

    #[test]
    fn earlier_messages_matter_less() {
        let found = Topics::new(&TABLE).relevant(&[
            Prompt { text: "tomatoes", weight: 1.0 },
            Prompt { text: "train", weight: 0.25 },
        ]);
        let asked = TABLE.paragraphs[usize::from(found[0].0)].asked;
        assert!(asked.iter().any(|&word| TABLE.word(word) == "tomatoes"));
    }
}
