//! The secrets of an application file by their names: `${NAME}` and `${file:PATH}`.
//!
//! It exists so that files are made where no secret is known: for reading the application file, texts without a meaning
//! stand for them. It is given no environment, so it cannot tell one.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::DocumentMut;
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_capabilities::{self as capability, Capability as _};

use crate::document;

/// Stands for a secret: no host has this name, and it is long enough to be a key.
pub(crate) const UNKNOWN: &str = "secret-that-is-not-known-here.invalid";

/// In front of the name of a secret that the application file takes from a file.
const FROM_FILE: &str = "FILE";

/// Makes `${NAME}` of every `${file:PATH}`, as containers are given secrets by names. Gives the path of each name.
pub(crate) fn name_files(document: &mut DocumentMut) -> BTreeMap<String, String> {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let taken = values(document);
    document::each_text(document, &mut |_, text| {
        let mut changed = String::new();
        let mut has_file = false;
        for piece in pieces(text) {
            match piece {
                Piece::Literal(literal) => changed.push_str(literal),
                Piece::Reference(inside) => match inside.strip_prefix("file:") {
                    Some(path) => {
                        has_file = true;
                        changed.push_str(&format!("${{{}}}", name_of(path, &taken, &mut named)));
                    }
                    None => changed.push_str(&format!("${{{inside}}}")),
                },
            }
        }
        has_file.then_some(changed)
    });
    named
}

/// One name for each path, which is that of nothing else in the file.
fn name_of(
    path: &str,
    taken: &BTreeMap<String, String>,
    named: &mut BTreeMap<String, String>,
) -> String {
    let base = format!("{FROM_FILE}_{}", variable(path));
    let mut name = base.clone();
    let mut number = 2;
    while taken.contains_key(&name) || named.get(&name).is_some_and(|other| other != path) {
        name = format!("{base}_{number}");
        number += 1;
    }
    named.insert(name.clone(), path.to_owned());
    name
}

/// Names of variables that stand in the document, with what may be inserted for each. Whether a key takes any is not
/// known here.
pub(crate) fn values(document: &mut DocumentMut) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    document::each_text(document, &mut |path, text| {
        let is_whole = text.trim().starts_with("${") && pieces(text.trim()).count() == 1;
        for piece in pieces(text) {
            let Piece::Reference(name) = piece else { continue };
            let value = match path {
                [table, _, key] if is_whole && key == "url" => url_of(table),
                [table, key] if is_whole && table == "replicas" && key == "url" => {
                    Postgres::url_of(UNKNOWN)
                }
                _ => None,
            };
            let value = value.unwrap_or_else(|| UNKNOWN.to_owned());
            // One that is an address somewhere is an address elsewhere, too.
            if value != UNKNOWN || !values.contains_key(name) {
                values.insert(name.to_owned(), value);
            }
        }
        None
    });
    values
}

/// What stands for the url of a capability's table.
fn url_of(key: &str) -> Option<String> {
    capability::ALL.iter().find(|capability| capability.key() == key)?.url_of(UNKNOWN)
}

/// Names that are asked for again and again.
#[derive(Default)]
pub(crate) struct RequestedNames(std::cell::RefCell<BTreeSet<String>>);

impl RequestedNames {
    pub(crate) fn note(&self, name: &str) {
        self.0.borrow_mut().insert(name.to_owned());
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.borrow().contains(name)
    }
}

/// Letters, digits and `_` in capitals, as a shell can set it.
pub(crate) fn variable(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    text.trim_matches('/').chars().map(allowed).collect()
}

enum Piece<'t> {
    /// As it stands, `$$` included.
    Literal(&'t str),
    /// What is between the braces.
    Reference(&'t str),
}

/// As [`wasm_host_settings::interpolate`] reads it; what it would refuse is a literal here.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((inside, after)) =
            rest.strip_prefix("${").and_then(|after| after.split_once('}'))
        {
            rest = after;
            return Some(Piece::Reference(inside));
        }
        // Up to the next dollar sign that begins something; two of them are one that does not.
        let escaped = if rest.starts_with("$$") { 2 } else { rest.starts_with('$').into() };
        let end = rest.get(escaped..).and_then(|tail| tail.find('$'));
        let (literal, after) =
            rest.split_at_checked(end.map_or(rest.len(), |end| end + escaped))?;
        rest = after;
        Some(Piece::Literal(literal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> DocumentMut {
        text.parse().unwrap()
    }

    #[test]
    fn files_become_names_and_the_rest_stays_as_it_is() {
        let mut one = document(
            "a = \"x${file:/run/pw}y${B}$${file:c}\" # why\n[t]\nb = [\"${file:run-pw}\", 'p$$q']\n",
        );
        let named = name_files(&mut one);
        assert_eq!(
            one.to_string(),
            "a = \"x${FILE_RUN_PW}y${B}$${file:c}\" # why\n[t]\nb = [\"${FILE_RUN_PW_2}\", 'p$$q']\n"
        );
        assert_eq!(named["FILE_RUN_PW"], "/run/pw");
        assert_eq!(named["FILE_RUN_PW_2"], "run-pw");
    }

    #[test]
    fn a_file_is_not_taken_for_a_variable_of_its_name() {
        let mut one =
            document("a = \"${file:a}${FILE_A_2}\"\nb = \"${FILE_A}\"\nc = \"${file:a}\"\n");
        name_files(&mut one);
        assert_eq!(
            one.to_string(),
            "a = \"${FILE_A_3}${FILE_A_2}\"\nb = \"${FILE_A}\"\nc = \"${FILE_A_3}\"\n"
        );
    }

    #[test]
    fn what_stands_for_a_secret_may_stand_there() {
        let mut one = document(
            "[postgres.a]\nurl = '${DB}'\n[ollama.b]\nurl = \"${GPU}\"\n[service.c.environment]\n\
             DB = '${DB}'\nKEY = \"k${KEY}$${NOT}\"\n",
        );
        let values = values(&mut one);
        assert_eq!(values.keys().collect::<Vec<_>>(), ["DB", "GPU", "KEY"]);
        assert!(values["DB"].starts_with("postgresql://"));
        assert!(values["GPU"].starts_with("http://"));
        assert_eq!(values["KEY"], UNKNOWN);
    }
}
