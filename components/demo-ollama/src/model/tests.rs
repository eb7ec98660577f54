use std::collections::BTreeSet;

use super::*;
use crate::table::TABLE;

const PROMPTS: &[&str] = &[
    "What will the weather be like tomorrow?",
    "How do I make a soup?",
    "Tell me a story",
    "how do I swap a version",
    "xyzzy",
    "",
];

fn options(seed: u64) -> Options {
    Options { seed, temperature: 0.8, num_predict: None, stop: Vec::new() }
}

fn ask(context: usize, text: &str, options: &Options) -> Answer {
    let topics = Topics::new(&TABLE);
    answer(&TABLE, &topics, context, &[Prompt { text, weight: 1.0 }], options)
}

#[test]
fn a_seed_decides_the_text() {
    let text = |seed| ask(3, PROMPTS[0], &options(seed)).pieces.concat();
    assert_eq!(text(7), text(7));
    let different: BTreeSet<String> = (0..20).map(text).collect();
    assert!(different.len() > 10, "{different:?}");
}

#[test]
fn temperature_zero_follows_the_likeliest_words_and_never_leaps() {
    let cold = |seed| ask(3, PROMPTS[1], &Options { temperature: 0.0, ..options(seed) });
    assert_eq!(cold(1).pieces[..20], cold(3).pieces[..20]);
}

#[test]
fn an_answer_is_one_to_four_sentences_of_words_from_the_corpus() {
    let topics = Topics::new(&TABLE);
    let known: BTreeSet<&str> = TABLE.words.iter().copied().collect();
    for text in PROMPTS {
        for (context, seed) in (0..50).flat_map(|seed| [(2, seed), (3, seed)]) {
            let prompt = [Prompt { text, weight: 1.0 }];
            let answer = answer(&TABLE, &topics, context, &prompt, &options(seed));
            let whole = answer.pieces.concat();
            let sentences = answer.pieces.iter().filter(|piece| ends_sentence(piece)).count();
            assert!((1..=SENTENCES_MAX).contains(&sentences), "{sentences} in: {whole}");
            assert!(ends_sentence(answer.pieces.last().unwrap()), "{whole}");
            assert!(answer.pieces.iter().all(|piece| known.contains(piece.trim_start())));
            assert!(!answer.cut_off && !whole.starts_with(' ') && !whole.contains("  "));
        }
    }
}

#[test]
fn num_predict_cuts_and_says_so() {
    let whole = ask(3, PROMPTS[0], &options(5));
    let cut = ask(3, PROMPTS[0], &Options { num_predict: Some(5), ..options(5) });
    assert_eq!(cut.pieces[..], whole.pieces[..5]);
    assert!(cut.cut_off);
    let enough = Options { num_predict: Some(whole.pieces.len()), ..options(5) };
    assert_eq!(ask(3, PROMPTS[0], &enough), whole);
}

#[test]
fn stop_texts_end_before_themselves() {
    let pieces = || ["It", " is", " cold", ",", " so", " stay"].map(String::from).to_vec();
    for (stops, left) in [
        (&[] as &[&str], "It is cold, so stay"),
        (&[""], "It is cold, so stay"),
        (&["warm"], "It is cold, so stay"),
        (&[","], "It is cold"),
        (&["s cold"], "It i"),
        (&["stay", "cold"], "It is "),
        (&["It"], ""),
    ] {
        let mut pieces = pieces();
        let stops: Vec<String> = stops.iter().map(|stop| stop.to_string()).collect();
        stop(&mut pieces, &stops);
        assert_eq!(pieces.concat(), left, "{stops:?}");
    }
}

#[test]
fn a_stop_text_is_no_cut_by_length() {
    let whole = ask(3, PROMPTS[0], &options(5)).pieces.concat();
    let word = whole.split(' ').nth(2).unwrap().to_string();
    let stopped = Options { num_predict: Some(10), stop: vec![word], ..options(5) };
    let answer = ask(3, PROMPTS[0], &stopped);
    assert!(!answer.cut_off && !answer.pieces.is_empty());
}

#[test]
fn a_sentence_hardly_goes_in_circles() {
    assert!(repeats(&[1, 2, 3, 1, 2], 3));
    assert!(!repeats(&[1, 2, 3, 1, 2], 4));
    assert!(!repeats(&[1], 1));
    let circles = |seed| {
        let answer = ask(3, "Should I take the train?", &options(seed));
        let text = answer.pieces.concat();
        text.split_inclusive(". ").any(|sentence| sentence.matches("on the window").count() > 1)
    };
    assert!((0..300).filter(|seed| circles(*seed)).count() < 3);
}
