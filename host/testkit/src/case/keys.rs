//! One table of a case file, for both ways: whoever describes it names each key once, and the key is then read from a
//! file or written to one.
//!
//! The values of keys are serde's. Its tables are not: several keys may say one thing, such as how a body is written,
//! and where serde puts structs together it no longer knows in which line an unknown key is, and which ones there are.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::ser::ValueSerializer;
use toml_edit::{ArrayOfTables, Item, Table, Value};

use super::forms::show_duration;

/// Lists of which each element has a line of its own, so that a change is a change of one line.
const ONE_PER_LINE: [&str; 4] = ["log", "rows", "lines", "chunks"];

/// The tables that are ones by themselves, though their keys are anything.
const SECTIONS: [&str; 2] = ["env", "config"];

/// What is wrong, and at which byte of the file.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

pub(crate) type Parsed<T = ()> = Result<T, Fault>;

/// The keys of one table.
pub(crate) struct Keys<'t> {
    side: Side<'t>,
    /// Where the table begins.
    pub(super) at: usize,
    /// What stands before its keys in messages: nothing, or `answer.`
    path: &'static str,
    /// Those that were asked for, and where they are in the file.
    known: Vec<(&'static str, Option<usize>)>,
}

enum Side<'t> {
    /// With what was not asked for yet.
    Read(DeTable<'t>),
    Write(Table),
}

impl<'t> Keys<'t> {
    /// Those of a whole file.
    pub(super) fn read(text: &'t str) -> Parsed<Self> {
        let table = DeTable::parse(text).map_err(|error| fault(0, "", &error))?;
        Ok(Self::of(Side::Read(table.into_inner()), 0, ""))
    }

    pub(crate) fn write() -> Self {
        Self::of(Side::Write(Table::new()), 0, "")
    }

    fn of(side: Side<'t>, at: usize, path: &'static str) -> Self {
        Self { side, at, path, known: Vec::new() }
    }

    /// What was written.
    pub(crate) fn written(self) -> Table {
        let Side::Write(mut table) = self.side else { return Table::new() };
        table.set_dotted(!self.path.is_empty());
        table
    }

    /// What must hold of a key that is read. What is written was made by the host.
    pub(super) fn check(
        &self,
        name: &str,
        holds: bool,
        message: impl FnOnce() -> String,
    ) -> Parsed {
        match self.side {
            Side::Read(_) if !holds => self.wrong_at(name, message()),
            _ => Ok(()),
        }
    }

    /// Something about the whole table.
    pub(super) fn wrong<T>(&self, message: impl Display) -> Parsed<T> {
        Err(Fault { at: self.at, message: message.to_string() })
    }

    /// Something about one of its keys.
    pub(super) fn wrong_at<T>(&self, name: &str, message: impl Display) -> Parsed<T> {
        let at = self.known.iter().find_map(|(known, at)| at.filter(|_| *known == name));
        let message = format!("{}{name}: {message}", self.path);
        Err(Fault { at: at.unwrap_or(self.at), message })
    }

    /// A key that may be absent.
    pub(super) fn key<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &'static str,
        given: Option<T>,
    ) -> Parsed<Option<T>> {
        if let Side::Write(table) = &mut self.side {
            if let Some(given) = &given {
                table.insert(name, written(name, given));
            }
            return Ok(given);
        }
        let Some(value) = self.take(name) else { return Ok(None) };
        let (at, path) = (value.span().start, format!("{}{name}: ", self.path));
        let read = T::deserialize(ValueDeserializer::from(value));
        read.map(Some).map_err(|error| fault(at, &path, &error))
    }

    /// A key that must be there.
    pub(super) fn required<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &'static str,
        given: Option<T>,
    ) -> Parsed<T> {
        match self.key(name, given)? {
            Some(value) => Ok(value),
            None => self.wrong(format!("missing field `{}{name}`", self.path)),
        }
    }

    /// A key whose default is not written.
    pub(super) fn field<T: Serialize + DeserializeOwned + PartialEq + Clone>(
        &mut self,
        name: &'static str,
        value: &mut T,
        default: T,
    ) -> Parsed {
        let given = Some(value.clone()).filter(|given| *given != default);
        *value = self.key(name, given)?.unwrap_or(default);
        Ok(())
    }

    /// A key that may be absent, of which `read` makes something. What is given has its form already.
    pub(super) fn form<F: Serialize + DeserializeOwned, T, E: Display>(
        &mut self,
        name: &'static str,
        given: Option<F>,
        read: impl FnOnce(F) -> Result<T, E>,
    ) -> Parsed<Option<T>> {
        match (self.key(name, given)?.map(read).transpose(), &self.side) {
            (Err(why), Side::Read(_)) => self.wrong_at(name, why),
            (read, _) => Ok(read.unwrap_or_default()),
        }
    }

    pub(super) fn time(
        &mut self,
        name: &'static str,
        given: Option<Duration>,
    ) -> Parsed<Option<Duration>> {
        let read = |text: String| wasm_host_settings::duration(&text);
        self.form(name, given.map(show_duration), read)
    }

    /// A time whose default is not written.
    pub(super) fn time_or(
        &mut self,
        name: &'static str,
        value: &mut Duration,
        default: Duration,
    ) -> Parsed {
        let given = Some(*value).filter(|given| *given != default);
        *value = self.time(name, given)?.unwrap_or(default);
        Ok(())
    }

    /// Those of these keys that the file has; of what is written the one that is given.
    pub(super) fn present(
        &self,
        of: &[&'static str],
        given: Option<&'static str>,
    ) -> Vec<&'static str> {
        match &self.side {
            Side::Read(left) => {
                of.iter().copied().filter(|name| left.contains_key(*name)).collect()
            }
            Side::Write(_) => given.into_iter().collect(),
        }
    }

    /// A table in this one; with a path, its keys are written behind that. Where there is none it is as an empty one,
    /// and an empty one is not written.
    pub(super) fn table<T>(
        &mut self,
        name: &'static str,
        path: &'static str,
        describe: impl FnOnce(&mut Keys<'t>) -> Parsed<T>,
    ) -> Parsed<T> {
        let mut keys = match (self.take(name), &self.side) {
            (_, Side::Write(_)) => Self { path, ..Self::write() },
            (None, Side::Read(_)) => Self::of(Side::Read(DeTable::new()), self.at, path),
            (Some(value), Side::Read(_)) => Self::of_value(value, name, path)?,
        };
        let described = describe(&mut keys)?;
        keys.no_more(&[])?;
        let inner = keys.written();
        if let Side::Write(table) = &mut self.side
            && !inner.is_empty()
        {
            table.insert(name, Item::Table(inner));
        }
        Ok(described)
    }

    /// Tables of one name.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        given: Vec<T>,
        describe: impl Fn(&mut Keys<'t>, Option<T>) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        if let Side::Write(table) = &mut self.side {
            let written = given.into_iter().map(|given| {
                let mut keys = Keys::write();
                // What is written is not judged.
                let _ = describe(&mut keys, Some(given));
                keys.written()
            });
            let written: ArrayOfTables = written.collect();
            if !written.is_empty() {
                table.insert(name, Item::ArrayOfTables(written));
            }
            return Ok(Vec::new());
        }
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let DeValue::Array(values) = value.into_inner() else {
            return self.wrong_at(name, format!("each is written below a line [[{name}]]"));
        };
        let read = |value| describe(&mut Self::of_value(value, name, "")?, None);
        values.into_iter().map(read).collect()
    }

    /// What is left is unknown, but for these, which are asked for later.
    pub(super) fn no_more(&self, but: &[&'static str]) -> Parsed {
        let Side::Read(left) = &self.side else { return Ok(()) };
        let unknown = left.keys().filter(|key| !but.contains(&key.get_ref().as_ref()));
        let Some(first) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let known = self.known.iter().map(|(name, _)| name).chain(but);
        let known: Vec<String> = known.map(|name| format!("`{}{name}`", self.path)).collect();
        let (path, key, known) = (self.path, first.get_ref(), known.join(", "));
        let message = format!("unknown field `{path}{key}`, expected one of {known}");
        Err(Fault { at: first.span().start, message })
    }

    /// Of a table in this one that it is written though it is empty.
    pub(super) fn keep(&mut self, name: &str) {
        if let Side::Write(table) = &mut self.side {
            table.entry(name).or_insert(Item::Table(Table::new()));
        }
    }

    fn of_value(value: Spanned<DeValue<'t>>, name: &str, path: &'static str) -> Parsed<Self> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(table) => Ok(Self::of(Side::Read(table), at, path)),
            other => {
                let message =
                    format!("{name}: invalid type: {}, expected a table", other.type_str());
                Err(Fault { at, message })
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Spanned<DeValue<'t>>> {
        let Side::Read(left) = &mut self.side else { return None };
        let value = left.remove(name);
        self.known.push((name, value.as_ref().map(|value| value.span().start)));
        value
    }
}

fn fault(at: usize, path: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map_or(at, |span| span.start);
    Fault { at, message: format!("{path}{}", error.message()) }
}

/// A value as it is laid out under this key.
fn written(name: &str, value: &impl Serialize) -> Item {
    let mut text = String::new();
    let serialized = value.serialize(ValueSerializer::new(&mut text)).map(drop);
    // What TOML has no value for is a number beyond its largest one.
    let parsed = serialized.ok().and_then(|()| text.parse().ok());
    let mut value = parsed.unwrap_or_else(|| Value::from(i64::MAX));
    if ONE_PER_LINE.contains(&name)
        && let Some(values) = value.as_array_mut().filter(|values| !values.is_empty())
    {
        values.iter_mut().for_each(|value| value.decor_mut().set_prefix("\n    "));
        values.set_trailing("\n");
        values.set_trailing_comma(true);
    }
    match value {
        Value::InlineTable(table) if SECTIONS.contains(&name) => Item::Table(table.into_table()),
        other => Item::Value(other),
    }
}
