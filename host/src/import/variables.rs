//! Values of a component of Spin as values of an application file. Pure.
//!
//! A value of Spin is a text with names of the application's values in it, as in `{{ name }}`. Those have a default, or
//! come from the environment, by the names that Spin gives them.

use std::collections::BTreeMap;

use super::manifest::Variable;

/// What Spin's own names in the environment begin with.
const PREFIX: &str = "SPIN_VARIABLE_";

/// A text of an application file, in which `${NAME}` is of the environment. An error says what is wrong with it.
pub(super) fn value(
    template: &str,
    variables: &BTreeMap<String, Variable>,
) -> Result<String, String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(&as_it_is(before));
        let (name, after) = after.split_once("}}").ok_or("it has '{{' without '}}'")?;
        let name = name.trim();
        let variable = variables.get(name);
        let variable = variable.ok_or_else(|| format!("the application has no variable {name}"))?;
        match &variable.default {
            Some(default) if !variable.secret => text.push_str(&as_it_is(default)),
            _ => text.push_str(&format!("${{{PREFIX}{}}}", name.to_ascii_uppercase())),
        }
        rest = after;
    }
    text.push_str(&as_it_is(rest));
    Ok(text)
}

fn as_it_is(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_and_what_is_required_or_secret_comes_from_the_environment() {
        let variable = |default: Option<&str>, secret| Variable {
            default: default.map(str::to_owned),
            secret,
        };
        let variables = BTreeMap::from([
            ("host".to_owned(), variable(Some("a$b"), false)),
            ("token".to_owned(), variable(None, false)),
            ("hidden".to_owned(), variable(Some("x"), true)),
        ]);
        for (template, expected) in [
            ("plain", "plain"),
            ("5$", "5$$"),
            ("https://{{ host }}/{{token}}", "https://a$$b/${SPIN_VARIABLE_TOKEN}"),
            ("{{ hidden }}", "${SPIN_VARIABLE_HIDDEN}"),
        ] {
            assert_eq!(value(template, &variables).unwrap(), expected, "{template}");
        }
        assert!(value("{{ other }}", &variables).unwrap_err().contains("no variable other"));
        assert!(value("{{ host", &variables).is_err());
    }
}
