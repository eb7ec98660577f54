//! The trained table as the component carries it, and the look-ups in it. `build.rs` writes the
//! data. It knows nothing of how a text is made of it.

use crate::tokens::CONTEXT_MAX;

/// What was counted in the corpus. Tokens are indices into `words`.
pub(crate) struct Table<'a> {
    pub words: &'a [&'a str],
    /// By the length of the context minus one.
    pub orders: [Order<'a>; CONTEXT_MAX],
    pub starts: &'a [Start],
    pub paragraphs: &'a [Paragraph<'a>],
}

/// What follows each context of one length.
pub(crate) struct Order<'a> {
    /// The contexts one after another, sorted.
    pub contexts: &'a [u16],
    /// Where the followers of each context end in `followers`.
    pub ends: &'a [u32],
    /// A token and how often it was seen after the context.
    pub followers: &'a [(u16, u16)],
}

/// How a sentence of the corpus begins.
pub(crate) struct Start {
    pub paragraph: u16,
    /// 0 for the first sentence of the paragraph.
    pub place: u16,
    pub tokens: [u16; CONTEXT_MAX],
}

/// The words by which a paragraph is found.
pub(crate) struct Paragraph<'a> {
    /// in the questions that it answers
    pub asked: &'a [u16],
    /// in its text
    pub said: &'a [u16],
}

/// A part of a model, as Ollama calls the files that a model is made of.
pub(crate) struct Layer {
    /// Only models that look back at least this many tokens have the layer.
    pub context: usize,
    pub size: u64,
    /// SHA-256, as hexadecimal digits
    pub digest: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));

impl Table<'_> {
    /// The text of a token.
    pub(crate) fn word(&self, token: u16) -> &str {
        self.words.get(usize::from(token)).copied().unwrap_or_default()
    }

    /// What was seen after `context`, which has 1 to `CONTEXT_MAX` tokens; empty if it was never
    /// seen.
    pub(crate) fn followers(&self, context: &[u16]) -> &[(u16, u16)] {
        context
            .len()
            .checked_sub(1)
            .and_then(|order| self.orders.get(order))
            .and_then(|order| order.find(context))
            .unwrap_or_default()
    }

    /// How many n-grams a model has that looks back at most `context` tokens.
    pub(crate) fn ngrams(&self, context: usize) -> usize {
        self.orders.iter().take(context).map(|order| order.followers.len()).sum()
    }
}

impl Order<'_> {
    fn find(&self, context: &[u16]) -> Option<&[(u16, u16)]> {
        let length = context.len();
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            let candidate = self.contexts.get(middle * length..(middle + 1) * length)?;
            match candidate.cmp(context) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let from = match middle.checked_sub(1) {
                        Some(before) => *self.ends.get(before)?,
                        None => 0,
                    };
                    let to = *self.ends.get(middle)?;
                    return self.followers.get(from as usize..to as usize);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_context_is_found_and_has_followers() {
        for (order, length) in TABLE.orders.iter().zip(1..) {
            assert_eq!(order.contexts.len(), order.ends.len() * length);
            for context in order.contexts.chunks(length) {
                assert!(!TABLE.followers(context).is_empty());
            }
        }
        assert!(TABLE.followers(&[]).is_empty());
        assert!(TABLE.followers(&[u16::MAX]).is_empty());
        assert!(TABLE.followers(&[0; CONTEXT_MAX + 1]).is_empty());
    }

    #[test]
    fn a_context_that_does_not_end_its_sentence_always_goes_on() {
        // What generation relies on: after every n-gram there is a next one.
        for start in TABLE.starts {
            assert!(!TABLE.followers(&start.tokens).is_empty());
        }
        let longest = &TABLE.orders[CONTEXT_MAX - 1];
        for context in longest.contexts.chunks(CONTEXT_MAX) {
            for (token, _) in TABLE.followers(context) {
                let next = [context[1], context[2], *token];
                assert_eq!(
                    TABLE.followers(&next).is_empty(),
                    crate::tokens::ends_sentence(TABLE.word(*token)),
                );
            }
        }
    }
}
