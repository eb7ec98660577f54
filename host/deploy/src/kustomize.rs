//! The objects as a base of kustomize, with an overlay for a cluster on this machine and one as an example for others.

use crate::data::put;
use serde_json::{Value, json};

use crate::kubernetes::{self, Object};
use crate::plan::{Origin, SecretKey};
use crate::{File, Plan, yaml};

/// The file with secrets of the overlay for this machine.
pub const SECRETS: &str = "overlays/local/secrets.env";

const MADE: &str = "# Made by `wasm-host deploy kubernetes` from the application file, which is where changes belong.\n";

/// All files but the one with secrets.
pub fn files(plan: &Plan) -> Vec<File> {
    let objects = kubernetes::objects(plan);
    let namespace = kubernetes::namespace(plan);
    let mut files: Vec<_> = objects.iter().chain(&namespace).map(file).collect();
    let names: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    files.push(File::new("base/kustomization.yaml", base(plan, names)));
    files.push(File::new("overlays/local/kustomization.yaml", local(plan, &objects)));
    files.push(File::new("overlays/local/secrets.env.example", example(plan, ABOUT_LOCAL)));
    files.push(File::new("overlays/production/kustomization.yaml", production(plan, &objects)));
    files.push(File::new(".gitignore", "# Secrets belong into no repository.\nsecrets.env\n"));
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn file(object: &Object) -> File {
    File::new(
        format!("base/{}.yaml", object.file()),
        format!("{MADE}{}", yaml::document(&object.body)),
    )
}

fn kustomization(mut body: Value) -> String {
    put(&mut body, "apiVersion", "kustomize.config.k8s.io/v1beta1");
    put(&mut body, "kind", "Kustomization");
    format!("{MADE}{}", yaml::document(&body))
}

fn base(plan: &Plan, mut names: Vec<String>) -> String {
    names.iter_mut().for_each(|name| *name = name.trim_start_matches("base/").to_owned());
    names.sort();
    kustomization(json!({ "namespace": plan.namespace, "resources": names }))
}

/// Services of the host on ports of the node, and secrets of the file beside it.
fn local(plan: &Plan, objects: &[Object]) -> String {
    let node_port = "- op: replace\n  path: /spec/type\n  value: NodePort\n";
    let selector = format!("app.kubernetes.io/name={}", plan.name);
    let mut patches = vec![json!({
        "target": { "kind": "Service", "labelSelector": selector },
        "patch": node_port,
    })];
    if objects.iter().any(|object| object.kind == "HorizontalPodAutoscaler") {
        // Without an adapter for its figures it has nothing to go by.
        let patch = json!({
            "$patch": "delete",
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": plan.name },
        });
        patches.push(json!({ "patch": yaml::document(&patch) }));
    }
    let mut body = json!({ "resources": ["../../base"], "patches": patches });
    if !plan.all_secrets().is_empty() {
        // Here and not in the base: what the base has without data would empty it when that is applied.
        put(
            &mut body,
            "secretGenerator",
            json!([{
                "name": plan.secret_name(),
                "namespace": plan.namespace,
                "envs": ["secrets.env"],
            }]),
        );
        let labels = kubernetes::labels(plan, &plan.name);
        let options = json!({ "disableNameSuffixHash": true, "labels": labels });
        put(&mut body, "generatorOptions", options);
    }
    kustomization(body)
}

/// Of more than one host without `[replicas]`.
const ALONE: &str = "# The application file has no [replicas]: a swap reaches one of these hosts alone, and none that \
                     starts later.\n";

/// What differs between clusters: the image, and how many of it.
fn production(plan: &Plan, objects: &[Object]) -> String {
    let (name, version) = split(&plan.image);
    let mut image = json!({ "name": name, "newName": name });
    match version {
        Version::Tag(tag) => put(&mut image, "newTag", tag),
        Version::Digest(digest) => put(&mut image, "digest", digest),
    }
    let mut body = json!({ "resources": ["../../base"], "images": [image] });
    let mut needs_replicas = false;
    if objects.iter().any(|object| {
        object.body.pointer("/spec/replicas").is_some() && object.kind == "Deployment"
    }) {
        let count = plan.deploy.limits.replicas.max(3);
        put(&mut body, "replicas", json!([{ "name": plan.name, "count": count }]));
        needs_replicas = !plan.decides_together && count > 1;
    }
    let mut text = kustomization(body);
    if needs_replicas {
        text.push_str(ALONE);
    }
    let fill = fill(plan, "secrets.env");
    if plan.all_secrets().is_empty() {
        return text;
    }
    // It is in no file of this overlay, so that nothing that is applied changes it.
    let names: Vec<_> = plan.all_secrets().into_iter().map(|secret| secret.name).collect();
    format!(
        "{text}# The Secret {} is filled by others, or once from a file as overlays/local has it. Pods wait until it has\n# {}:\n#   \
         {fill}\n",
        plan.secret_name(),
        names.join(", ")
    )
}

/// The command that fills the Secret from a file.
pub fn fill(plan: &Plan, file: &str) -> String {
    format!(
        "kubectl create secret generic {} -n {} --from-env-file={file} --dry-run=client -o yaml | \
         kubectl apply --server-side --field-manager=secrets -f -",
        plan.secret_name(),
        plan.namespace
    )
}

/// The names of all secrets, with what they are and without values.
pub(crate) fn example(plan: &Plan, about: &str) -> String {
    let mut text = about.to_owned();
    for secret in plan.all_secrets() {
        text.push_str(&described(&secret));
        text.push_str(&to_fill(&secret));
    }
    text
}

const ABOUT_LOCAL: &str = "# Copy this to secrets.env, which is left out of the repository; `wasm-host deploy kubernetes` does that.\n\
                           # Fill it, and remove the marks in front of what is filled.\n";

/// A comment, so that nothing is applied for it: pods say what they wait for, and nothing is emptied.
fn to_fill(secret: &SecretKey) -> String {
    format!("#{}=\n", secret.name)
}

fn described(secret: &SecretKey) -> String {
    match &secret.origin {
        Origin::Environment => String::new(),
        Origin::File(path) => format!("# What is in the file {path}:\n"),
        Origin::Made => {
            "# A password that is made once and stays, as its database does:\n".to_owned()
        }
    }
}

/// The version in the reference of an image.
pub(crate) enum Version<'a> {
    Tag(&'a str),
    Digest(&'a str),
}

pub(crate) fn split(image: &str) -> (&str, Version<'_>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, Version::Digest(digest));
    }
    match image.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, Version::Tag(tag)),
        _ => (image, Version::Tag("latest")),
    }
}

/// The lines that a file of secrets lacks. `made` gives a value for each that is to be made, if it is; all others are left
/// to be filled in.
pub fn missing_secrets(
    plan: &Plan,
    file: &str,
    mut made: impl FnMut(&str) -> Option<String>,
) -> String {
    let named =
        |line: &str| line.trim_start_matches(['#', ' ']).split('=').next().map(str::to_owned);
    let has = |secret: &SecretKey| {
        let mut lines = file.lines().filter(|line| line.contains('=') || !line.starts_with('#'));
        lines.any(|line| named(line).is_some_and(|key| key.trim() == secret.name))
    };
    let mut lines = String::new();
    for secret in plan.all_secrets().into_iter().filter(|secret| !has(secret)) {
        lines.push_str(&described(&secret));
        let value = match secret.origin {
            Origin::Made => made(&secret.name),
            Origin::Environment | Origin::File(_) => None,
        };
        let line = value.map(|value| format!("{}={value}\n", secret.name));
        lines.push_str(&line.unwrap_or_else(|| to_fill(&secret)));
    }
    lines
}

/// What a file of secrets says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    With,
    /// It is set to nothing.
    Empty,
    /// It is a name alone: kubectl takes its value of the environment, and nothing if that has none.
    FromEnvironment,
    Absent,
}

/// What of the secrets has no value in a file, in order.
pub fn unfilled(plan: &Plan, file: &str) -> Vec<(SecretKey, Filled)> {
    let all = plan.all_secrets().into_iter();
    let filled = all.map(|secret| {
        let filled = filled(file, &secret.name);
        (secret, filled)
    });
    filled.filter(|(_, filled)| *filled != Filled::With).collect()
}

fn filled(file: &str, name: &str) -> Filled {
    let lines = file.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    let mut found = Filled::Absent;
    for line in lines {
        match line.split_once('=') {
            Some((key, value)) if key == name => {
                found = if value.is_empty() { Filled::Empty } else { Filled::With };
            }
            None if line.trim_end() == name => found = Filled::FromEnvironment,
            _ => {}
        }
    }
    found
}

/// The command that adds keys of the Secret in a cluster to a file.
pub fn take_over(plan: &Plan, context: &str, keys: &[&str], file: &str) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("(eq $key \"{key}\")")).collect();
    format!(
        "kubectl --context {} get secret {} -n {} -o 'go-template={{{{range $key, $value := .data}}}}{{{{if or {}}}}}{{{{$key}}}}={{{{base64decode \
         $value}}}}{{{{\"\\n\"}}}}{{{{end}}}}{{{{end}}}}' >> {}",
        quoted(context),
        plan.secret_name(),
        plan.namespace,
        keys.join(" "),
        quoted(file)
    )
}

/// The command that adds a secret to a file, from where it is on this machine; it ends where there is none.
pub fn fill_one(secret: &SecretKey, file: &str) -> String {
    let SecretKey { name, origin } = secret;
    let value = match origin {
        Origin::File(path) => format!("$(cat {})", quoted(path)),
        Origin::Environment | Origin::Made => format!("${{{name}:?}}"),
    };
    format!("printf '{name}=%s\\n' \"{value}\" >> {}", quoted(file))
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_is_read_as_kubectl_reads_it() {
        let file = "# A=1\n  B=x=y\nC=\nD\n#E=5\nF=1\nF=\n";
        let all = ["A", "B", "C", "D", "E", "F"].map(|name| filled(file, name));
        let (absent, empty) = (Filled::Absent, Filled::Empty);
        assert_eq!(all, [absent, Filled::With, empty, Filled::FromEnvironment, absent, empty]);
    }

    #[test]
    fn a_secret_is_added_by_one_command() {
        let of = |origin| fill_one(&SecretKey { name: "A".to_owned(), origin }, "k 8s/it's.env");
        assert_eq!(of(Origin::Environment), r#"printf 'A=%s\n' "${A:?}" >> 'k 8s/it'\''s.env'"#);
        assert!(of(Origin::File("b/c".to_owned())).starts_with(r#"printf 'A=%s\n' "$(cat b/c)""#));
    }

    #[test]
    fn an_image_has_a_tag_or_a_digest() {
        let of = |image| match split(image) {
            (name, Version::Tag(tag)) => (name, tag),
            (name, Version::Digest(digest)) => (name, digest),
        };
        assert_eq!(of("shop:7"), ("shop", "7"));
        assert_eq!(of("localhost:5000/shop"), ("localhost:5000/shop", "latest"));
        assert_eq!(of("r.example:5000/a/b:7"), ("r.example:5000/a/b", "7"));
        assert_eq!(of("r.example/a@sha256:ab"), ("r.example/a", "sha256:ab"));
    }
}
