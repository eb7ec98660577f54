//! `/api/embed`: a vector of unit length for a text. Each word's stem is hashed to a few places of
//! the vector, so texts that share words are near each other. It knows nothing of what words mean.

use serde_json::Value;
use wasm_host_guest::StatusCode;

use crate::fields::{Fields, Refusal};
use crate::tokens::{split, stem};

/// Numbers in a vector.
pub(crate) const DIMENSIONS: usize = 64;
/// Places of the vector that a word changes.
const PLACES: u64 = 4;

/// The texts to embed: `input`, one or several.
pub(crate) fn inputs(fields: &Fields) -> Result<Vec<&str>, Refusal> {
    let wrong =
        || Refusal::new(StatusCode::BAD_REQUEST, "input must be a string or an array of strings");
    match fields.get("input") {
        None => Ok(Vec::new()),
        // As with Ollama: without a text the model is only loaded.
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(texts)) => {
            texts.iter().map(|text| text.as_str().ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// How many numbers the client wants.
pub(crate) fn dimensions(fields: &Fields) -> Result<usize, Refusal> {
    match fields.get("dimensions") {
        None => Ok(DIMENSIONS),
        Some(wanted) => match wanted.as_i64() {
            Some(wanted) if wanted <= 0 => Ok(DIMENSIONS),
            Some(wanted) => Ok(usize::try_from(wanted).unwrap_or(DIMENSIONS).min(DIMENSIONS)),
            None => Err(Refusal::new(StatusCode::BAD_REQUEST, "dimensions must be a whole number")),
        },
    }
}

pub(crate) fn vector(text: &str, dimensions: usize) -> Vec<f64> {
    let mut vector = vec![0.0; dimensions];
    for token in split(text) {
        add(&mut vector, &stem(token).unwrap_or_else(|| token.to_lowercase()));
    }
    if vector.iter().all(|number| *number == 0.0) {
        // No direction at all: every text gets one, so that the length can be one.
        add(&mut vector, "");
    }
    let length = vector.iter().map(|number| number * number).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    vector
}

fn add(vector: &mut [f64], word: &str) {
    for place in 0..PLACES {
        let hash = hash(word, place);
        let at = (hash >> 1) as usize % vector.len().max(1);
        if let Some(number) = vector.get_mut(at) {
            // Places differ in weight, so that two words never cancel out.
            let weight = 1.0 + place as f64 / 8.0;
            *number += if hash & 1 == 0 { weight } else { -weight };
        }
    }
}

/// FNV-1a, because its result is the same everywhere, and a mix at the end for the low bits.
fn hash(word: &str, salt: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64 ^ salt;
    let hash = word
        .bytes()
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: &str, other: &str) -> f64 {
        let (one, other) = (vector(one, DIMENSIONS), vector(other, DIMENSIONS));
        one.iter().zip(&other).map(|(one, other)| one * other).sum()
    }

    #[test]
    fn vectors_have_unit_length() {
        for text in ["", "a", "the rain in the garden", "?", "天気"] {
            for dimensions in [1, 2, 10, DIMENSIONS] {
                let length: f64 = vector(text, dimensions).iter().map(|n| n * n).sum();
                assert!((length - 1.0).abs() < 1e-9, "{text}: {length}");
            }
        }
    }

    #[test]
    fn texts_that_share_words_are_near() {
        assert_eq!(vector("a warm soup", 8), vector("a warm soup", 8));
        assert!(near("a warm soup", "warm soups") > near("a warm soup", "the night train"));
        assert!(near("the garden in spring", "gardens in the spring") > 0.9);
    }

    #[test]
    fn inputs_are_one_or_several() {
        let inputs = |body: &str| {
            let fields = Fields::parse(body.as_bytes()).unwrap();
            inputs(&fields).map(|found| found.len()).map_err(|refusal| refusal.status)
        };
        assert_eq!(inputs(r#"{"input":"a b"}"#), Ok(1));
        assert_eq!(inputs(r#"{"input":["a","b"]}"#), Ok(2));
        assert_eq!(inputs(r#"{"input":""}"#), Ok(0));
        assert_eq!(inputs(r#"{"input":[]}"#), Ok(0));
        assert_eq!(inputs("{}"), Ok(0));
        assert_eq!(inputs(r#"{"input":[1]}"#), Err(StatusCode::BAD_REQUEST));
        assert_eq!(inputs(r#"{"input":{}}"#), Err(StatusCode::BAD_REQUEST));
    }
}
