//! What a query asks for, word by word.

use std::str::FromStr;

use url::form_urlencoded;

use super::super::malformed;
use wasm_host_collector::{LogQuery, SeriesQuery, TraceQuery};
use wasm_host_limits::telemetry as limits;
use wasm_host_service::failure::Failure;
use wasm_host_settings::duration;
use wasm_host_telemetry::clock;
use wasm_host_telemetry::log::Level;

/// The words of a query that nothing has taken yet.
pub(in crate::admin) struct QueryWords(Vec<(String, String)>);

/// What of all that is kept is wanted as a file.
#[derive(Clone)]
pub(in crate::admin) struct Exported {
    /// Microseconds since 1970. None: all that is there.
    pub(in crate::admin) since: Option<u64>,
    pub(in crate::admin) until: u64,
    /// This one alone.
    pub(in crate::admin) service: Option<String>,
}

const LEVELS: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];

impl QueryWords {
    pub(in crate::admin) fn of(query: Option<&str>) -> Result<Self, Failure> {
        let words = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Ok(Self(words.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }

    pub(super) fn one(&mut self, name: &str) -> Option<String> {
        self.all(name).pop().filter(|value| !value.is_empty())
    }

    pub(in crate::admin) fn all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(word, _)| word == name).map(|(_, value)| value).collect()
    }

    /// How many, at least one. More than there can be is refused: an answer with fewer would be taken for all there is.
    pub(super) fn number(&mut self, name: &str, most: usize) -> Result<Option<usize>, Failure> {
        let what = format!("a whole number from 1 to {most}");
        let number: Option<usize> = self.parsed(name, &what)?;
        match number.filter(|number| !(1..=most).contains(number)) {
            Some(outside) => Err(malformed(format!("{name} is {what}, not {outside}."))),
            None => Ok(number),
        }
    }

    /// Words that are searched for. Too many are not repeated to whoever wrote them.
    pub(super) fn words(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let words = self.one(name);
        let (bytes, most) = (words.as_ref().map_or(0, String::len), limits::SEARCH_BYTES);
        match bytes > most {
            true => {
                Err(malformed(format!("{name} has {bytes} bytes; a search takes at most {most}.")))
            }
            false => Ok(words),
        }
    }

    fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.one(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| malformed(format!("{name} is {what}, not {value:?}.")))
    }

    fn is(&mut self, name: &str) -> Result<bool, Failure> {
        Ok(self.parsed(name, "true or false")?.unwrap_or(false))
    }

    pub(super) fn follows(&mut self) -> Result<bool, Failure> {
        self.is("follow")
    }

    /// A moment: microseconds since 1970, or a time before now such as `10m`.
    fn moment(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.one(name) else { return Ok(None) };
        if let Ok(moment) = value.parse() {
            return Ok(Some(moment));
        }
        let before = duration(&value).map_err(|why| malformed(format!("{name}: {why}.")))?;
        Ok(Some(clock::now().saturating_sub(clock::micros(before))))
    }

    pub(super) fn nothing_else(&self) -> Result<(), Failure> {
        match self.0.first() {
            Some((name, _)) => Err(malformed(format!("{name:?} is not known here."))),
            None => Ok(()),
        }
    }

    pub(super) fn logs(mut self) -> Result<LogQuery, Failure> {
        let level = match self.one("level") {
            Some(name) => {
                let level = LEVELS.into_iter().find(|level| level.name() == name);
                let known = "level is trace, debug, info, warn or error";
                Some(level.ok_or_else(|| malformed(format!("{known}, not {name:?}.")))?)
            }
            None => None,
        };
        let query = LogQuery {
            services: self.all("service"),
            level,
            search: self.words("search")?,
            since: self.moment("since")?,
            until: self.moment("until")?,
            trace: self.parsed("trace", "32 digits")?,
            request: self.parsed("request", "16 digits")?,
            source: self.one("source"),
            limit: self.number("limit", limits::PAGE_MAX)?,
            before: self.one("before"),
        };
        self.nothing_else()?;
        Ok(query)
    }

    pub(super) fn traces(mut self) -> Result<TraceQuery, Failure> {
        let slower = match self.one("slower") {
            Some(text) => {
                let slower = duration(&text).map_err(|why| malformed(format!("slower: {why}.")))?;
                Some(clock::micros(slower))
            }
            None => None,
        };
        let query = TraceQuery {
            service: self.one("service"),
            search: self.words("search")?,
            errors: self.is("errors")?,
            slower,
            since: self.moment("since")?,
            until: self.moment("until")?,
            route: self.one("route"),
            limit: self.number("limit", limits::PAGE_MAX)?,
            before: self.one("before"),
        };
        self.nothing_else()?;
        Ok(query)
    }

    pub(in crate::admin) fn export(mut self) -> Result<Exported, Failure> {
        let asked = Exported {
            since: self.moment("since")?,
            until: self.moment("until")?.unwrap_or_else(clock::now),
            service: self.one("service"),
        };
        self.nothing_else()?;
        Ok(asked)
    }

    /// What is left are values that series are to have.
    pub(super) fn series(mut self) -> Result<SeriesQuery, Failure> {
        let until = self.moment("until")?.unwrap_or_else(clock::now);
        let since = self.moment("since")?;
        let recent = || until.saturating_sub(clock::micros(limits::SERIES_TIME));
        Ok(SeriesQuery {
            since: since.unwrap_or_else(recent),
            until,
            by: self.one("by"),
            points: self.number("points", limits::POINTS_MAX)?,
            filters: self.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_and_what_is_not_known_is_refused() {
        let asked = |query: &str| QueryWords::of(Some(query)).unwrap();
        let logs = asked("service=a&service=b&level=warn&search=no+rows&limit=5&since=12").logs();
        let logs = logs.unwrap();
        assert_eq!(logs.services, ["a", "b"]);
        assert_eq!((logs.level, logs.search.as_deref()), (Some(Level::Warn), Some("no rows")));
        assert_eq!((logs.limit, logs.since), (Some(5), Some(12)));
        let traces = asked("errors=true&slower=200ms&since=10m").traces().unwrap();
        assert!(traces.errors);
        assert_eq!(traces.slower, Some(200_000));
        assert!(traces.since.unwrap() < clock::now() - 599_000_000);
        for wrong in ["level=loud", "limit=-1", "since=yesterday", "trace=1", "servce=a"] {
            let why = asked(wrong).logs().map(drop).unwrap_err();
            let name = wrong.split('=').next().unwrap();
            assert!(why.public.contains(name), "{}", why.public);
        }
    }

    #[test]
    fn what_is_beyond_a_bound_is_refused_wherever_it_is_asked_for() {
        let long = format!("search={}", "a".repeat(limits::SEARCH_BYTES + 1));
        let asked = |query: &str| QueryWords::of(Some(query)).unwrap();
        for wrong in ["limit=0", "limit=1001", &long] {
            let told = [asked(wrong).logs().map(drop), asked(wrong).traces().map(drop)];
            for why in told.map(Result::unwrap_err) {
                let why = why.public;
                assert!(why.contains("1000, not") || why.contains("at most 2048"), "{why}");
            }
        }
        assert!(asked("points=0").series().is_err() && asked("points=1001").series().is_err());
        assert_eq!(asked("limit=1000").logs().unwrap().limit, Some(1000));
        assert!(asked(&long.replace("aa", "a")).traces().unwrap().search.is_some());
    }
}
