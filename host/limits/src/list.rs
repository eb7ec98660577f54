//! How the fixed bounds in the other files are listed, for `check --limits`.
//!
//! It exists so that no list of them has to be kept by hand: the macro that is around the constants of a file is what
//! collects them. It must not know how a value is shown.

use std::time::Duration;

/// A bound as it stands in its file.
pub struct Listed {
    /// The module, below this crate: empty, or as in `http`.
    pub module: &'static str,
    pub name: &'static str,
    /// The lines of its comment. None: it shares that of the bound before.
    pub comment: &'static [&'static str],
    pub value: fn() -> Value,
}

/// What a bound is, as far as its type tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Time(Duration),
    /// The name says of what.
    Count(u64),
    Number(f64),
}

/// Around all bounds of a file: defines them, and lists them as `LISTED`. What is in it is not indented, as it
/// would be a step for the whole file.
macro_rules! bounds {
    ($($(#[doc = $comment:literal])* pub const $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[doc = $comment])* pub const $name: $type = $value;)*

        /// All bounds of this file, in its order.
        pub(crate) const LISTED: &[$crate::list::Listed] = &[$(
            $crate::list::Listed {
                module: $crate::list::below_limits(module_path!()),
                name: stringify!($name),
                comment: &[$($comment),*],
                value: || $crate::list::Value::from($name),
            }
        ),*];
    };
}

/// What is behind this crate in the path of a module.
pub(crate) const fn below_limits(path: &'static str) -> &'static str {
    const LIMITS: &str = env!("CARGO_CRATE_NAME");
    match path.split_at_checked(LIMITS.len() + "::".len()) {
        Some((_, below)) => below,
        None => "",
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}
