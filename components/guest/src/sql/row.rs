//! One row, and what it can be read into.

use std::sync::Arc;

use super::{Column, Error, FromScalar, FromValue, Value};

/// The values of one row, each to be taken out once.
#[derive(Debug)]
pub struct Row {
    columns: Arc<[Column]>,
    values: Vec<Value>,
}

impl Row {
    /// A row of these columns. For tests; the rows of a statement are made by [`super::Rows`].
    pub fn new(columns: Arc<[Column]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// Its columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The value of the column of this name. Of several the first counts.
    ///
    /// # Errors
    /// [`Error::Column`] if there is none, or its value is of another type.
    pub fn take<T: FromValue>(&mut self, name: &str) -> Result<T, Error> {
        match self.columns.iter().position(|column| column.name == name) {
            Some(index) => self.take_at(index),
            None => {
                let names: Vec<_> =
                    self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
                let reason = format!("is not in the row, which has {}", names.join(", "));
                Err(Error::Column { column: name.to_string(), reason })
            }
        }
    }

    /// The value of the column at this place, from 0.
    ///
    /// # Errors
    /// As [`Row::take`].
    pub fn take_at<T: FromValue>(&mut self, index: usize) -> Result<T, Error> {
        let column = self.columns.get(index);
        let error = |reason: String| Error::Column {
            column: column.map_or_else(|| (index + 1).to_string(), |column| column.name.clone()),
            reason,
        };
        let Some(value) = self.values.get_mut(index) else {
            return Err(error(format!(
                "is not in the row, which has {} columns",
                self.values.len()
            )));
        };
        let value = std::mem::replace(value, Value::Null);
        let of = column.map_or("value", |column| column.type_name.as_str());
        T::from_value(value).map_err(|wrong| {
            error(format!("is {}, and {} was asked for", wrong.given_as(of), T::WANTED))
        })
    }
}

/// What a row can be read into.
pub trait FromRow: Sized {
    /// Read the row.
    ///
    /// # Errors
    /// [`Error::Column`] where it does not fit.
    fn from_row(row: Row) -> Result<Self, Error>;
}

impl FromRow for Row {
    fn from_row(row: Row) -> Result<Self, Error> {
        Ok(row)
    }
}

/// A row of one column.
fn only<T: FromValue>(mut row: Row) -> Result<T, Error> {
    match row.columns().len() {
        1 => row.take_at(0),
        count => {
            let reason = format!("is one of {count}, and a row of one column was asked for");
            let column =
                row.columns().first().map(|column| column.name.clone()).unwrap_or_default();
            Err(Error::Column { column, reason })
        }
    }
}

impl<T: FromScalar> FromRow for T {
    fn from_row(row: Row) -> Result<Self, Error> {
        only(row)
    }
}

impl<T: FromScalar> FromRow for Option<T> {
    fn from_row(row: Row) -> Result<Self, Error> {
        only(row)
    }
}

macro_rules! tuple {
    ($($column:ident $index:literal),+) => {
        /// By the order of the columns, of which there are as many.
        impl<$($column: FromValue),+> FromRow for ($($column,)+) {
            fn from_row(mut row: Row) -> Result<Self, Error> {
                let wanted = [$($index),+].len();
                let given = row.columns().len();
                if given != wanted {
                    let reason = format!("ends a row of {given} columns, and one of {wanted} was asked for");
                    let column = row.columns().last().map(|column| column.name.clone()).unwrap_or_default();
                    return Err(Error::Column { column, reason });
                }
                Ok(($(row.take_at::<$column>($index)?,)+))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

#[cfg(test)]
mod tests;
