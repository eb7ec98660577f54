//! Text to tokens and back. The build script and the component share this file, so that a prompt is
//! cut in the same way as the text that the model was trained on.
//!
//! A token is a word (with the apostrophes, hyphens and points inside it) or one punctuation mark.
//! It knows nothing of models.

/// How many tokens a model looks back at most.
pub(crate) const CONTEXT_MAX: usize = 3;

/// The tokens of `text`, in order.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() {
            word_length(rest)
        } else {
            if !first.is_whitespace() {
                tokens.push(take(rest, first.len_utf8()));
            }
            rest = skip(rest, first.len_utf8());
            continue;
        };
        tokens.push(take(rest, length));
        rest = skip(rest, length);
    }
    tokens
}

/// Bytes of the word at the start of `text`. A joining mark counts only between two word
/// characters, so that the point at the end of a sentence is a token of its own.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let joins = matches!(character, '\'' | '’' | '-' | '.')
            && characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if !character.is_alphanumeric() && !joins {
            break;
        }
        length = at + character.len_utf8();
    }
    length
}

fn take(text: &str, bytes: usize) -> &str {
    text.get(..bytes).unwrap_or(text)
}

fn skip(text: &str, bytes: usize) -> &str {
    text.get(bytes..).unwrap_or("")
}

/// Whether a sentence ends with this token.
pub(crate) fn ends_sentence(token: &str) -> bool {
    matches!(token, "." | "?" | "!")
}

/// Whether a blank stands before this token inside a text.
pub(crate) fn takes_space(token: &str) -> bool {
    !matches!(token, "." | "?" | "!" | "," | ";" | ":" | "%" | ")")
}

/// What a word is looked up by: lower case, without the commonest English endings, so that a
/// question about `gardens` finds the text about a `garden`. `None` for punctuation and for words
/// that stand in every text.
pub(crate) fn stem(token: &str) -> Option<String> {
    const EVERYWHERE: &[&str] = &[
        "a", "about", "all", "an", "and", "any", "are", "as", "at", "be", "but", "by", "can",
        "could", "did", "do", "does", "for", "from", "give", "had", "has", "have", "how", "i",
        "if", "in", "is", "it", "its", "just", "like", "me", "my", "need", "no", "not", "of", "on",
        "one", "or", "please", "should", "so", "some", "tell", "than", "that", "the", "them",
        "then", "there", "these", "they", "this", "to", "want", "was", "we", "were", "when",
        "where", "what", "which", "who", "why", "will", "with", "would", "you", "your",
    ];
    if !token.chars().next()?.is_alphanumeric() {
        return None;
    }
    let word = token.to_lowercase().replace('’', "'");
    let word = word.strip_suffix("'s").unwrap_or(&word);
    if EVERYWHERE.contains(&word) {
        return None;
    }
    if let Some(stem) = word.strip_suffix("ies") {
        return Some(format!("{stem}y"));
    }
    for (ending, shortest) in [("ing", 6), ("es", 6), ("ed", 6), ("s", 4)] {
        if let Some(stem) = word.strip_suffix(ending)
            && word.len() >= shortest
            && !stem.ends_with('s')
        {
            return Some(stem.trim_end_matches('e').to_string());
        }
    }
    Some(word.trim_end_matches('e').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_inside_them() {
        assert_eq!(
            split("It's a well-known fact, at 1.5 m: yes!\n"),
            ["It's", "a", "well-known", "fact", ",", "at", "1.5", "m", ":", "yes", "!"]
        );
        assert_eq!(split(" -a. 'b' "), ["-", "a", ".", "'", "b", "'"]);
        assert_eq!(split("天気は?"), ["天気は", "?"]);
        assert!(split(" \n\t").is_empty());
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for (one, other) in [
            ("Gardens", "garden"),
            ("baking", "bake"),
            ("watered", "watering"),
            ("services", "Service"),
            ("berries", "berry"),
            ("database's", "databases"),
        ] {
            assert_eq!(stem(one), stem(other), "{one} and {other}");
            assert!(stem(one).is_some());
        }
        assert_eq!(stem("The"), None);
        assert_eq!(stem("?"), None);
        assert_ne!(stem("story"), stem("store"));
    }
}
