//! The application file as tables whose keys and values know their place.
//!
//! It exists so that every table is read by the same rules: an unknown key is reported with the
//! nearest valid one and then read as that one, so that one slip gives one message; a wrong type is
//! reported with what is expected. It must not know what any key means.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::bounds::Bound;
use super::context::{Context, Located, Span};
use super::diagnostic::{Problem, nearest, quoted};
use super::field::{
    interpolated_text, of_wrong_type, plain_text, table_of, unsigned, within, wrong_type,
};
use super::interpolate::Text;
use super::value;
use wasm_host_limits::setting::{Setting, Settings, Values};
use wasm_host_limits::show::{show_duration, show_size};

/// One table with the keys that may stand in it.
pub struct Table<'t> {
    /// Its header, or the key of an inline table.
    pub at: Span,
    /// As in `[service.weather]`, empty for the top of the file.
    name: String,
    entries: BTreeMap<&'t str, Entry<'t>>,
    /// What may stand in it. `None`: it is not in the file as such.
    keys: Option<Vec<&'static str>>,
}

#[derive(Clone, Copy)]
struct Entry<'t> {
    key: &'t Spanned<DeString<'t>>,
    value: &'t Spanned<DeValue<'t>>,
}

// === impl Table ===

impl<'t> Table<'t> {
    /// As in `service.weather`.
    pub fn header(&self) -> &str {
        self.name.trim_matches(['[', ']'])
    }

    /// Reports every key that is not one of `keys`. `name` is the header as it stands in the file,
    /// empty for the top of the file.
    pub fn open(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
        keys: &[&'static str],
    ) -> Table<'t> {
        let written = |key: &str| table.iter().any(|(written, _)| written.get_ref() == key);
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let entry = Entry { key, value };
            if let Some(known) = keys.iter().find(|known| **known == key.get_ref()) {
                entries.insert(*known, entry);
                continue;
            }
            let guess = nearest(key.get_ref(), keys.iter().copied());
            let hint = match guess {
                Some(guess) => format!("did you mean '{guess}'?"),
                None if name.is_empty() => format!("the file may have: {}", keys.join(", ")),
                None => format!("{name} may have: {}", keys.join(", ")),
            };
            cx.error(
                &key.span(),
                Problem::new(format!("unknown key {}", quoted(key.get_ref())), hint),
            );
            if let Some(guess) = guess.filter(|guess| !written(guess)) {
                entries.entry(guess).or_insert(entry);
            }
        }
        Table { at, name: name.to_owned(), entries, keys: Some(keys.to_vec()) }
    }

    /// A table that is not in the file: everything in it has its default.
    pub fn absent(name: &str, at: Span) -> Table<'t> {
        Table { at, name: name.to_owned(), entries: BTreeMap::new(), keys: None }
    }

    /// The table `[key]`, whether it is in the file or not.
    pub fn section(&self, cx: &Context<'_>, key: &str, keys: &[&'static str]) -> Table<'t> {
        let name = format!("[{key}]");
        match self.table(cx, key, &name) {
            Some((at, table)) => Table::open(cx, &name, at, table, keys),
            None => Table::absent(&name, self.at(key)),
        }
    }

    /// What stands under a key. A key that the table may not have can never stand there, so that nothing should ask for it.
    fn entry(&self, key: &str) -> Option<&Entry<'t>> {
        let is_declared = self.keys.as_ref().is_none_or(|keys| keys.contains(&key));
        debug_assert!(is_declared, "'{key}' is read and not among the keys of {}", self.name);
        self.entries.get(key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where `key` stands, or the header if it does not.
    pub fn at(&self, key: &str) -> Span {
        self.entry(key).map_or_else(|| self.at.clone(), |entry| entry.key.span())
    }

    /// What stands under `key`, for keys that take more than one type.
    pub fn value(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entry(key).map(|entry| entry.value)
    }

    /// The table `name` in its short form: this one key.
    pub fn short(&self, name: &str, key: &'static str) -> Table<'t> {
        let entry = self.entry(key).map(|entry| (key, *entry));
        let entries = entry.into_iter().collect();
        Table { at: self.at(key), name: name.to_owned(), entries, keys: None }
    }

    /// A string that is used as it stands.
    pub fn text(&self, cx: &Context<'_>, key: &str) -> Option<Located<String>> {
        let value = self.entry(key)?.value;
        plain_text(cx, key, value)
    }

    /// A string in which `${...}` is replaced.
    pub fn interpolated(&self, cx: &Context<'_>, key: &str) -> Option<Located<Text>> {
        let value = self.entry(key)?.value;
        interpolated_text(cx, key, value)
    }

    /// A string, or a list of them.
    pub fn texts(&self, cx: &Context<'_>, key: &str) -> Option<Vec<Located<String>>> {
        let value = self.entry(key)?.value;
        match value.get_ref() {
            DeValue::Array(items) => {
                Some(items.iter().filter_map(|item| plain_text(cx, key, item)).collect())
            }
            DeValue::String(_) => plain_text(cx, key, value).map(|text| vec![text]),
            other => {
                wrong_type(cx, key, &value.span(), "a string or a list of strings", other);
                None
            }
        }
    }

    pub fn flag(&self, cx: &Context<'_>, key: &str) -> Option<bool> {
        let value = self.entry(key)?.value;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            wrong_type(cx, key, &value.span(), "true or false", value.get_ref());
        }
        flag
    }

    /// The settings that this table may have.
    pub fn settings<S: Settings>(&self, cx: &Context<'_>) -> S {
        S::read(&Reading { table: self, cx })
    }

    /// The table under `key`, unopened.
    pub fn table(
        &self,
        cx: &Context<'_>,
        key: &str,
        example: &str,
    ) -> Option<(Span, &'t DeTable<'t>)> {
        let value = self.entry(key)?.value;
        table_of(cx, key, value, example)
    }

    /// The tables under `key`, as in `[service.<name>]`, with the place of each name.
    pub fn named_tables(
        &self,
        cx: &Context<'_>,
        key: &str,
    ) -> Vec<(Located<&'t str>, Span, &'t DeTable<'t>)> {
        let example = format!("[{key}.<name>]");
        let Some((_, tables)) = self.table(cx, key, &example) else {
            return Vec::new();
        };
        tables
            .iter()
            .filter_map(|(name, value)| {
                let (at, table) = table_of(cx, name.get_ref(), value, &example)?;
                Some((Located { value: name.get_ref().as_ref(), at: name.span() }, at, table))
            })
            .collect()
    }
}

// === Settings ===

/// A table that is read for its settings.
struct Reading<'a, 't> {
    table: &'a Table<'t>,
    cx: &'a Context<'a>,
}

impl Values for Reading<'_, '_> {
    fn has(&self, key: &str) -> bool {
        self.table.has(key)
    }

    fn count(&self, setting: Setting<usize>) -> usize {
        self.bound(
            setting,
            |count| count.to_string(),
            |value| match value {
                DeValue::Integer(_) => {
                    let number = unsigned(value).map(|number| usize::try_from(number).ok());
                    Ok(number.map(|number| number.unwrap_or(usize::MAX)))
                }
                other => Err(of_wrong_type(setting.key, "a whole number", other)),
            },
        )
    }

    fn size(&self, setting: Setting<u64>) -> u64 {
        self.bound(setting, show_size, |value| match value {
            DeValue::String(text) => value::size(text).map(Some),
            DeValue::Integer(_) => Ok(unsigned(value)),
            other => Err(of_wrong_type(setting.key, "a size such as \"64MiB\"", other)),
        })
    }

    fn time(&self, setting: Setting<Duration>) -> Duration {
        self.bound(setting, show_duration, |value| match value {
            DeValue::String(text) => value::duration(text).map(Some),
            other => Err(of_wrong_type(setting.key, "a duration such as \"30s\"", other)),
        })
    }
}

impl Reading<'_, '_> {
    /// What `read` makes of the value, or the default, and the entry for users who ask what is in effect.
    fn bound<T: Copy + PartialOrd>(
        &self,
        setting: Setting<T>,
        show: impl Fn(T) -> String,
        read: impl FnOnce(&DeValue<'_>) -> Result<Option<T>, Problem>,
    ) -> T {
        let Self { table, cx } = self;
        let entry = table.entry(setting.key);
        let value = entry.and_then(|entry| {
            let at = entry.value.span();
            let read = cx.checked(&at, read(entry.value.get_ref()))?;
            cx.checked(&at, within(read, setting, &show))
        });
        let value = value.unwrap_or(setting.default);
        cx.remember(Bound {
            table: table.header().to_owned(),
            key: setting.key.to_owned(),
            value: show(value),
            default: show(setting.default),
            minimum: show(setting.min),
            maximum: show(setting.max),
            line: entry.map(|entry| cx.line(&entry.key.span())),
        });
        value
    }
}

/// The values of a table with free keys, as texts in which `${...}` is replaced.
pub fn free_texts<'t>(
    cx: &Context<'_>,
    table: &'t DeTable<'t>,
) -> Vec<(Located<&'t str>, Option<Located<Text>>)> {
    table
        .iter()
        .map(|(key, value)| {
            let name = Located { value: key.get_ref().as_ref(), at: key.span() };
            (name, interpolated_text(cx, key.get_ref(), value))
        })
        .collect()
}
