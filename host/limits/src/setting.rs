//! Settings: the bounds that the application file may change.
//!
//! It exists so that each is declared once, in `settings!`: its key, its type, its default, its range, and what it is.
//! From that come the field that the host reads, the keys that a table may have, what `check --limits` shows, and its
//! row in docs/application-file.md. It must not know how a file is read.

use std::cell::RefCell;
use std::time::Duration;

use super::show::{show_duration, show_size};

/// One setting, as it is declared.
#[derive(Clone, Copy, Debug)]
pub struct Setting<T: 'static> {
    /// As the file has it.
    pub key: &'static str,
    pub default: T,
    /// The least value that still works.
    pub min: T,
    /// Above this the value is a typing mistake rather than a wish.
    pub max: T,
    /// What it is, line by line.
    pub comment: &'static [&'static str],
}

/// Where the values of settings come from. Nothing is written there unless it says so.
pub trait Values {
    fn has(&self, _key: &str) -> bool {
        false
    }

    fn count(&self, setting: Setting<usize>) -> usize {
        setting.default
    }

    /// In bytes.
    fn size(&self, setting: Setting<u64>) -> u64 {
        setting.default
    }

    fn time(&self, setting: Setting<Duration>) -> Duration {
        setting.default
    }
}

/// What the type of a setting may be.
pub trait Kind: Sized {
    /// What is written for it.
    type Value;
    fn read(from: &dyn Values, setting: Setting<Self::Value>) -> Self;
}

/// The settings of one table.
pub trait Settings: Default {
    /// All of them, each once, in the order of their declaration.
    fn read(from: &dyn Values) -> Self;

    fn rows() -> Vec<Row> {
        let list = List::default();
        let _ = Self::read(&list);
        list.0.into_inner()
    }

    fn keys() -> Vec<&'static str> {
        Self::rows().into_iter().map(|row| row.key).collect()
    }
}

/// One setting in words. Values are as a file would write them.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: &'static str,
    pub default: String,
    pub minimum: String,
    pub maximum: String,
    /// What it is.
    pub what: String,
}

/// Declares the settings of tables. Of
///
/// ```text
/// settings! {
/// /// What the public port grants to its clients.
/// pub struct HttpLimits {
///     /// Requests at once in one HTTP/2 connection.
///     // What browsers expect.
///     pub streams: usize = "streams", 100, 1..=10_000;
///
///     pub breaker: BreakerConfig;
/// }
/// }
/// ```
///
/// it makes the struct with these fields, its `Default`, its [`Settings`], and for each setting a function of the
/// field's name with all that was declared of it: `HttpLimits::streams().max` is 10,000. A setting's
/// comment is its row in the documentation; its reason is a plain comment. Without a key, a field has the settings of
/// another struct.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])*
        pub struct $name:ident {$(
            $(#[doc = $comment:literal])*
            pub $field:ident: $type:ty $(= $key:literal, $default:expr, $range:expr)?;
        )*}
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $comment])* pub $field: $type,)*
        }

        impl $name {
            $(settings! { @declared $field: $type, [$($comment),*] $(, $key, $default, $range)? })*
        }

        impl $crate::setting::Settings for $name {
            fn read(from: &dyn $crate::setting::Values) -> Self {
                Self { $($field: settings!(@read from, $field: $type $(, $key)?),)* }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::setting::Settings::read(&$crate::setting::Defaults)
            }
        }
    )*};

    (@declared $field:ident: $type:ty, $comment:tt, $key:literal, $default:expr, $range:expr) => {
        /// What is declared of the field of this name.
        pub const fn $field() -> $crate::setting::Setting<<$type as $crate::setting::Kind>::Value> {
            let (min, max) = (*$range.start(), *$range.end());
            $crate::setting::Setting { key: $key, default: $default, min, max, comment: &$comment }
        }
    };
    (@declared $field:ident: $type:ty, $comment:tt) => {};

    (@read $from:ident, $field:ident: $type:ty, $key:literal) => {
        <$type as $crate::setting::Kind>::read($from, Self::$field())
    };
    (@read $from:ident, $field:ident: $type:ty) => {
        <$type as $crate::setting::Settings>::read($from)
    };
}

// === Kinds ===

impl Kind for usize {
    type Value = usize;

    fn read(from: &dyn Values, setting: Setting<usize>) -> usize {
        from.count(setting)
    }
}

impl Kind for u64 {
    type Value = u64;

    fn read(from: &dyn Values, setting: Setting<u64>) -> u64 {
        from.size(setting)
    }
}

impl Kind for Duration {
    type Value = Duration;

    fn read(from: &dyn Values, setting: Setting<Duration>) -> Duration {
        from.time(setting)
    }
}

/// `None` where nothing is written: what counts then is known where it is used.
impl<K: Kind> Kind for Option<K> {
    type Value = K::Value;

    fn read(from: &dyn Values, setting: Setting<K::Value>) -> Option<K> {
        let key = setting.key;
        Some(K::read(from, setting)).filter(|_| from.has(key))
    }
}

// === Values ===

/// Nothing is written.
pub(crate) struct Defaults;

impl Values for Defaults {}

/// Nothing is written, and what is asked for is noted.
#[derive(Default)]
struct List(RefCell<Vec<Row>>);

impl List {
    fn note<T: Copy>(&self, setting: Setting<T>, show: impl Fn(T) -> String) -> T {
        let what: Vec<_> = setting.comment.iter().map(|line| line.trim()).collect();
        self.0.borrow_mut().push(Row {
            key: setting.key,
            default: show(setting.default),
            minimum: show(setting.min),
            maximum: show(setting.max),
            what: what.join(" "),
        });
        setting.default
    }
}

impl Values for List {
    fn count(&self, setting: Setting<usize>) -> usize {
        self.note(setting, |count| count.to_string())
    }

    fn size(&self, setting: Setting<u64>) -> u64 {
        self.note(setting, show_size)
    }

    fn time(&self, setting: Setting<Duration>) -> Duration {
        self.note(setting, show_duration)
    }
}
