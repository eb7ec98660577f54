//! Which slip of notation an error of the TOML parser is.
//!
//! It exists because such an error has a place and a text for people, but no kind, and a text that is made for people
//! changes with any release. So the kind is found by what stands at the place: in the events of the same parser, which
//! are the notation without its meaning. It must not know what is said about a slip.

use toml::de::Error;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};
use toml_parser::{Expected, ParseError, Source, Span};

/// As deep as the parser itself goes.
const DEEPEST: u32 = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    LoneKey,
    SecondKey,
    /// A key with a dot behind it, where something stands already that has no keys or is whole.
    ExtendedKey,
    OpenHeader,
    OpenDoubleHeader,
    OpenList,
    MissingComma,
    OpenTable,
    /// A string without the quote at its end.
    OpenString(char),
    /// No value, or one that would have to be a string.
    MissingQuotes,
    Number,
    LeadingZero,
    /// Another one within a value.
    Value,
    Other,
}

/// A text as the parser sees it before it asks what it means.
pub(super) struct Notation<'t> {
    source: Source<'t>,
    events: Vec<Event>,
    errors: Vec<ParseError>,
}

impl<'t> Notation<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let source = Source::new(text);
        let (mut events, mut errors) = (Vec::new(), Vec::new());
        let tokens = source.lex().into_vec();
        parse_document(&tokens, &mut RecursionGuard::new(&mut events, DEEPEST), &mut errors);
        Self { source, events, errors }
    }

    /// What `error`, which the parser found in this text, is about.
    pub(super) fn slip(&self, error: &Error) -> Slip {
        let at = error.span().unwrap_or_default();
        let at = Span::new_unchecked(at.start, at.end);
        if let Some(error) = self.errors.iter().find(|error| error.unexpected() == Some(at)) {
            return self.of_grammar(error);
        }
        let is_key = |event: &Event| event.kind() == EventKind::SimpleKey && event.span() == at;
        if let Some(key) = self.events.iter().position(is_key) {
            return self.of_key(key);
        }
        let around = |event: &&Event| {
            let span = event.span();
            event.kind() == EventKind::Scalar
                && span.start() <= at.start()
                && at.end() <= span.end()
        };
        self.events.iter().find(around).map_or(Slip::Other, |scalar| self.of_scalar(scalar, at))
    }

    /// By what is to come next, and what was begun before it.
    fn of_grammar(&self, error: &ParseError) -> Slip {
        let begin = error.context().unwrap_or_default().start();
        let begun = |kind: EventKind| {
            let mut events = self.events.iter();
            events.any(|event| event.kind() == kind && event.span().start() == begin)
        };
        let Some([Expected::Literal(next)]) = error.expected() else { return Slip::Other };
        match *next {
            "=" if !begun(EventKind::InlineTableOpen) => Slip::LoneKey,
            "]" if begun(EventKind::StdTableOpen) => Slip::OpenHeader,
            "]" | "]]" if begun(EventKind::ArrayTableOpen) => Slip::OpenDoubleHeader,
            "]" if begun(EventKind::ArrayOpen) => Slip::OpenList,
            "," if begun(EventKind::ArrayOpen) => Slip::MissingComma,
            "}" if begun(EventKind::InlineTableOpen) => Slip::OpenTable,
            _ => Slip::Other,
        }
    }

    /// A key that is one by itself can only be wrong where it stands.
    fn of_key(&self, position: usize) -> Slip {
        let mut behind = self.events.iter().skip(position);
        let mut wrong = Vec::new();
        if let Some(key) = behind.next().and_then(|key| self.source.get(key)) {
            key.decode_key(&mut String::new(), &mut wrong);
        }
        let next = behind.find(|event| event.kind() != EventKind::Whitespace).map(Event::kind);
        match (wrong.is_empty(), next) {
            (false, _) => Slip::Other,
            (true, Some(EventKind::KeySep)) => Slip::ExtendedKey,
            (true, _) => Slip::SecondKey,
        }
    }

    fn of_scalar(&self, scalar: &Event, at: Span) -> Slip {
        let Some(raw) = self.source.get(scalar) else { return Slip::Other };
        let is_at_end = at.start() == scalar.span().end();
        match scalar.encoding() {
            Some(Encoding::BasicString) if is_at_end => return Slip::OpenString('"'),
            Some(Encoding::LiteralString) if is_at_end => return Slip::OpenString('\''),
            Some(Encoding::BasicString | Encoding::LiteralString) => return Slip::Value,
            // It may go on to the end of the file.
            Some(Encoding::MlBasicString | Encoding::MlLiteralString) => return Slip::Other,
            None => {}
        }
        match raw.decode_scalar(&mut String::new(), &mut Vec::new()) {
            ScalarKind::String => Slip::MissingQuotes,
            ScalarKind::Integer(_) | ScalarKind::Float if has_leading_zero(raw.as_str()) => {
                Slip::LeadingZero
            }
            ScalarKind::Integer(_) | ScalarKind::Float => Slip::Number,
            ScalarKind::Boolean(_) | ScalarKind::DateTime => Slip::Value,
        }
    }
}

fn has_leading_zero(number: &str) -> bool {
    let digits = number.trim_start_matches(['+', '-']).strip_prefix('0');
    digits.is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
}
