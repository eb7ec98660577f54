//! The objects of a cluster as a Helm chart. What its user may choose is in `values.yaml`, with what the application file says.

use serde_json::{Map, Value, json};

use crate::kubernetes::{self, Knob, Object, PART_OF};
use crate::kustomize::{self, Version};
use crate::{File, Plan, yaml};

/// Around the name of a value where it is to stand in an object. Plain words, which stay as they are in YAML.
const BEGIN: &str = "KNOB-";
const END: &str = "-BONK";

const MADE: &str =
    "# Made by `wasm-host deploy helm` from the application file, which is where changes belong.\n";

const ABOUT_SECRETS: &str = "# The names of the secrets. Copy this to secrets.env, which belongs into no repository, fill it, and remove the marks\n\
                             # in front of what is filled. The notes of the chart have the command that takes it to a cluster.\n";

/// All files of the chart.
pub fn files(plan: &Plan) -> Vec<File> {
    let objects = kubernetes::objects(plan);
    let mut files: Vec<_> = objects.iter().map(template).collect();
    files.push(File::new("Chart.yaml", chart(plan)));
    files.push(File::new("templates/NOTES.txt", notes(plan)));
    files.push(File::new("values.yaml", values(plan, &objects)));
    if !plan.all_secrets().is_empty() {
        let example = kustomize::example(plan, &format!("{MADE}{ABOUT_SECRETS}"));
        files.push(File::new("secrets.env.example", example));
        files.push(File::new(".helmignore", format!("{MADE}secrets.env\n")));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// Where the version of the application is none that a chart can have.
const SOME_VERSION: &str = "0.1.0";

fn chart(plan: &Plan) -> String {
    let (_, version) = kustomize::split(&plan.image);
    let (Version::Tag(application) | Version::Digest(application)) = version;
    yaml::document(&json!({
        "apiVersion": "v2",
        "name": plan.name,
        "description": format!("The application {}, made of its application file by wasm-host", plan.name),
        "type": "application",
        "version": semantic(application).unwrap_or_else(|| SOME_VERSION.to_owned()),
        "appVersion": application,
        "kubeVersion": ">=1.28.0-0",
    }))
}

/// The tag of an image as a version with three numbers, if it is one with one to three of them.
fn semantic(tag: &str) -> Option<String> {
    let plain = tag.strip_prefix('v').unwrap_or(tag);
    let (numbers, more) = plain.split_at(plain.find('-').unwrap_or(plain.len()));
    let is_number = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (*part == "0" || !part.starts_with('0'))
    };
    let parts: Vec<_> = numbers.split('.').collect();
    let is_version = parts.len() <= 3 && parts.iter().all(is_number) && is_pre_release(more);
    let zeros = ".0".repeat(3_usize.saturating_sub(parts.len()));
    is_version.then(|| format!("{numbers}{zeros}{more}"))
}

/// What may stand behind the three numbers: nothing, or words behind a `-`.
fn is_pre_release(more: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && (!word.bytes().all(|byte| byte.is_ascii_digit())
                || word == "0"
                || !word.starts_with('0'))
    };
    more.is_empty() || more.strip_prefix('-').is_some_and(|words| words.split('.').all(is_word))
}

fn template(object: &Object) -> File {
    let mut body = object.body.clone();
    for Knob { pointer, value, around } in &object.knobs {
        if let Some(place) = body.pointer_mut(pointer) {
            let (before, after) = around.clone().unwrap_or_default();
            *place = format!("{before}{}{after}", mark(value)).into();
        }
    }
    // Before values are put in, all braces are the object's own.
    let mut text = yaml::document(&body).replace("{{", "{{ \"{{\" }}");
    for Knob { value, around, .. } in &object.knobs {
        // A part of a text stands in marks of that text's notation.
        let as_what = if around.is_some() { "" } else { " | toJson" };
        text = text.replace(&mark(value), &format!("{{{{ .Values.{value}{as_what} }}}}"));
    }
    if let Some(wanted) = object.wanted_by {
        text = format!("{{{{- if .Values.{wanted} }}}}\n{text}{{{{- end }}}}\n");
    }
    text.insert_str(0, MADE);
    File::new(format!("templates/{}.yaml", object.file()), text)
}

fn mark(value: &str) -> String {
    format!("{BEGIN}{}{END}", value.replace('.', "-dot-"))
}

/// What each value is in the objects as they are.
fn values(plan: &Plan, objects: &[Object]) -> String {
    let mut values = Map::new();
    for object in objects {
        for Knob { pointer, value, .. } in object.knobs.iter().filter(|it| it.around.is_none()) {
            let found = object.body.pointer(pointer).cloned().unwrap_or_default();
            put(&mut values, value, found);
        }
        if let Some(wanted) = object.wanted_by {
            put(&mut values, wanted, true.into());
        }
    }
    let mut text = format!(
        "{MADE}# What differs between clusters. Everything else is in the application file of {}.\n",
        plan.name
    );
    text.push_str(&yaml::document(&Value::Object(values)));
    text
}

fn put(values: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            values.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = values.entry(first).or_insert_with(|| Map::new().into());
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

fn notes(plan: &Plan) -> String {
    let mut text =
        format!("{} answers at the Service {}, port {}.\n", plan.name, plan.name, plan.port);
    if !plan.all_secrets().is_empty() {
        let names: Vec<_> = plan.all_secrets().into_iter().map(|secret| secret.name).collect();
        text.push_str(&format!(
            "\nIts pods wait until the Secret {} has {}:\n\n  kubectl create secret generic {} -n {{{{ \
             .Release.Namespace }}}} --from-env-file=secrets.env --dry-run=client -o yaml | kubectl apply \
             --server-side --field-manager=secrets -f -\n",
            plan.secret_name(),
            names.join(", "),
            plan.secret_name(),
        ));
    }
    let databases = plan.databases.iter().map(|database| database.name.as_str());
    let volumes: Vec<_> = databases.chain(plan.models.iter().map(|it| it.name.as_str())).collect();
    if !volumes.is_empty() {
        text.push_str(&format!(
            "\n`helm uninstall` leaves the volumes of {}, and the Secret: a later release finds its data again. To delete \
             them, too:\n\n  kubectl delete pvc -n {{{{ .Release.Namespace }}}} -l {PART_OF}={}\n",
            volumes.join(", "),
            plan.name,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_the_version_of_its_image_where_that_is_one() {
        for (tag, version) in [
            ("7", Some("7.0.0")),
            ("v1.2", Some("1.2.0")),
            ("1.2.3", Some("1.2.3")),
            ("1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("1.2.3.4", None),
            ("01.2", None),
            ("1.2-01", None),
            ("1-", None),
            ("local", None),
            ("1_2", None),
        ] {
            assert_eq!(semantic(tag).as_deref(), version, "{tag}");
        }
    }
}
