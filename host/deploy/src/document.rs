//! The application file as a document that keeps its comments and its order while single values change.

use toml_edit::{DocumentMut, Item, Table, TableLike, Value, value};

/// Goes over all strings, with the keys that lead to each; what `change` gives takes the place of one.
pub(crate) fn each_text(
    document: &mut DocumentMut,
    change: &mut dyn FnMut(&[String], &str) -> Option<String>,
) {
    table(document.as_table_mut(), &mut Vec::new(), change);
}

type Change<'a> = dyn FnMut(&[String], &str) -> Option<String> + 'a;

fn table(table: &mut dyn TableLike, path: &mut Vec<String>, change: &mut Change<'_>) {
    for (key, item) in table.iter_mut() {
        path.push(key.get().to_owned());
        match item {
            Item::None => {}
            Item::Value(value) => text(value, path, change),
            Item::Table(inner) => self::table(inner, path, change),
            Item::ArrayOfTables(all) => {
                all.iter_mut().for_each(|inner| self::table(inner, path, change));
            }
        }
        path.pop();
    }
}

fn text(value: &mut Value, path: &mut Vec<String>, change: &mut Change<'_>) {
    match value {
        Value::String(text) => {
            if let Some(new) = change(path, text.value()) {
                let decor = text.decor().clone();
                *value = Value::from(new);
                *value.decor_mut() = decor;
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|inner| text(inner, path, change)),
        Value::InlineTable(inner) => table(inner, path, change),
        _ => {}
    }
}

/// The table at these keys, if there is one.
pub(crate) fn find<'d>(
    document: &'d mut DocumentMut,
    keys: &[&str],
) -> Option<&'d mut dyn TableLike> {
    let mut found: &mut dyn TableLike = document.as_table_mut();
    for key in keys {
        found = found.get_mut(key)?.as_table_like_mut()?;
    }
    Some(found)
}

/// Sets a key of a table at the top of the file, or of one below that, which is made where there is none.
pub(crate) fn set(document: &mut DocumentMut, keys: &[&str], key: &str, text: &str) {
    let mut found: &mut dyn TableLike = document.as_table_mut();
    for step in keys {
        let item = found.entry(step).or_insert_with(|| Item::Table(Table::new()));
        let Some(table) = item.as_table_like_mut() else { return };
        found = table;
    }
    let decor = found.get(key).and_then(Item::as_value).map(|value| value.decor().clone());
    let mut item = value(text);
    if let (Some(decor), Some(value)) = (decor, item.as_value_mut()) {
        *value.decor_mut() = decor;
    }
    found.insert(key, item);
}

/// The string under a key of a table.
pub(crate) fn text_at(document: &mut DocumentMut, keys: &[&str], key: &str) -> Option<String> {
    find(document, keys)?.get(key)?.as_str().map(str::to_owned)
}

/// The names of the tables below `key`, such as those of all services.
pub(crate) fn names(document: &mut DocumentMut, key: &str) -> Vec<String> {
    let Some(tables) = find(document, &[key]) else { return Vec::new() };
    tables.iter().map(|(name, _)| name.to_owned()).collect()
}
