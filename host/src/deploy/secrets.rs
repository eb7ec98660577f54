//! What is said and done about secrets that have no value yet, before pods wait for them.
//!
//! It exists so that nothing is applied empty without a word: a name that stands alone in a file of secrets is nothing to
//! a cluster where the environment has no value for it. Values are never read here beyond whether there is one.

use std::env;
use std::path::Path;

use super::kubectl::Keys;
use wasm_host_deploy::Plan;
use wasm_host_deploy::kustomize::{self, Filled};
use wasm_host_deploy::plan::{Origin, SecretKey};

const SECRETS: &str = "secrets.env";

/// The secrets of a file that lack something.
pub(super) struct Secrets {
    /// Where the file is, as the user named it.
    pub file: String,
    /// Nothing is applied for these.
    absent: Vec<SecretKey>,
    /// These are applied empty, as their file says.
    empty: Vec<SecretKey>,
    /// These are applied empty, as neither file nor environment has a value.
    unset: Vec<SecretKey>,
}

impl Secrets {
    /// Of the text of the file. `folder` is that of the application file, to which paths of secrets are relative.
    pub(super) fn of(plan: &Plan, text: &str, file: &Path, folder: &Path) -> Self {
        let file = file.display().to_string();
        let mut secrets = Self { file, absent: Vec::new(), empty: Vec::new(), unset: Vec::new() };
        for (mut secret, filled) in kustomize::unfilled(plan, text) {
            if let Origin::File(path) = &mut secret.origin {
                *path = folder.join(&path).display().to_string();
            }
            match filled {
                Filled::With => {}
                Filled::Absent => secrets.absent.push(secret),
                Filled::Empty => secrets.empty.push(secret),
                Filled::FromEnvironment => {
                    if env::var_os(&secret.name).is_none_or(|value| value.is_empty()) {
                        secrets.unset.push(secret);
                    }
                }
            }
        }
        secrets
    }

    /// What a user should know of them, if anything.
    pub(super) fn told(&self) -> Option<String> {
        let Self { file, absent, empty, unset } = self;
        let mut said = Vec::new();
        if !absent.is_empty() {
            said.push(format!("{file} has no value for {}: pods wait until it has", names(absent)));
        }
        if !empty.is_empty() {
            said.push(format!("{file} sets {} to nothing", names(empty)));
        }
        if !unset.is_empty() {
            said.push(self.said_of_unset());
        }
        let commands = self.commands(absent);
        (!said.is_empty()).then(|| said.join("\n") + &commands)
    }

    /// What would empty a Secret that others have filled.
    pub(super) fn would_be_emptied(&self) -> Option<String> {
        (!self.unset.is_empty()).then(|| {
            format!("{}; nothing was applied: set them, or write NAME=VALUE", self.said_of_unset())
        })
    }

    /// What an earlier deployment applied from another file, and would be taken away with this one.
    pub(super) fn taken_away(&self, plan: &Plan, known: &Keys, context: &str) -> Option<String> {
        let absent = self.absent.iter().filter(|secret| known.has_of_ours(&secret.name));
        let keys: Vec<_> = absent.map(|secret| secret.name.as_str()).collect();
        (!keys.is_empty()).then(|| {
            format!(
                "the cluster has {} from another {SECRETS}, which {} lacks, so that applying would take it away; nothing was \
                 applied. To take over what the cluster has:\n  {}",
                keys.join(", "),
                self.file,
                kustomize::take_over(plan, context, &keys, &self.file)
            )
        })
    }

    /// Why pods would not start, where the cluster has only the keys `known` of the Secret.
    pub(super) fn missing(&self, known: &Keys) -> Option<String> {
        let is_missing = |secret: &&SecretKey| !known.has(&secret.name);
        let missing: Vec<_> = self.absent.iter().filter(is_missing).cloned().collect();
        (!missing.is_empty()).then(|| {
            format!(
                "neither {} nor the cluster has {}, and pods would wait for it; nothing was applied{}",
                self.file,
                names(&missing),
                self.commands(&missing)
            )
        })
    }

    fn said_of_unset(&self) -> String {
        format!(
            "{} takes {} from the environment, where it has no value, so that kubectl would apply it empty",
            self.file,
            names(&self.unset)
        )
    }

    fn commands(&self, of: &[SecretKey]) -> String {
        if of.is_empty() {
            return String::new();
        }
        let commands: Vec<_> = of
            .iter()
            .map(|secret| format!("\n  {}", kustomize::fill_one(secret, &self.file)))
            .collect();
        format!("\nto add what this shell has:{}", commands.concat())
    }
}

/// The keys of the Secret that the cluster lacks, whoever fills it, in words.
pub(super) fn missing_of_cluster(plan: &Plan, known: &Keys) -> Option<String> {
    let all = plan.all_secrets();
    let missing: Vec<_> = all.into_iter().filter(|secret| !known.has(&secret.name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the Secret {} has no {} yet, and pods wait for it; to fill it from a file:\n  {}",
            plan.secret_name(),
            names(&missing),
            kustomize::fill(plan, SECRETS)
        )
    })
}

fn names(secrets: &[SecretKey]) -> String {
    let names: Vec<_> = secrets.iter().map(|secret| secret.name.as_str()).collect();
    names.join(", ")
}
