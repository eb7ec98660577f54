//! `wasm-host manifest` and `wasm-host deploy`: reading the application file for containers, and writing what comes of it.
//!
//! What the files say is in `wasm_host_deploy`, which touches none. `apply` talks to a cluster.

mod apply;
mod kubectl;
mod secrets;
mod written;

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{DeploySource, DeployTarget, Manifest};
use crate::colour::told;
use crate::exit::Exit;
use kubectl::Keys;
use secrets::Secrets;
use wasm_host_config::deploy::image;
use wasm_host_deploy::plan::{self, Input, Platform};
use wasm_host_deploy::{Plan, compose, helm, kustomize, manifest, podman, systemd};
use wasm_host_limits::{self as limits};
use wasm_host_settings::diagnostic::{Diagnostics, Problem};
use wasm_host_system::counted::counted;
use wasm_host_system::output;
use written::{Folder, Rewrite};

/// Print the manifest, or write it with what it mounts.
pub fn manifest(args: &Manifest) -> Result<(), Exit> {
    let plan = read(&args.source, Platform::Containers)?;
    let Some(output) = &args.output else {
        let files = manifest::files(&plan, &way(Path::new(""), &args.source)?);
        let (own, mounted): (Vec<_>, Vec<_>) =
            files.iter().partition(|file| file.path == "manifest.json");
        own.iter().for_each(|file| output::show(&file.text));
        let mounted: Vec<_> = mounted.iter().map(|file| file.path.as_str()).collect();
        eprintln!(
            "wasm-host: the manifest mounts {}; --output DIR writes that, too",
            mounted.join(", ")
        );
        return Ok(());
    };
    let folder = Folder::new(output)?;
    let files = manifest::files(&plan, &way(output, &args.source)?);
    for file in &files {
        folder.write(file, Rewrite::Always)?;
    }
    done(output, files.len());
    Ok(())
}

/// Make files, or bring the application to a cluster.
pub async fn deploy(target: DeployTarget) -> Result<(), Exit> {
    match target {
        DeployTarget::Kubernetes { source, output } => {
            let (count, secrets) = kubernetes(&plan(&source)?, &source, &output, None)?;
            if let Some(said) = secrets.as_ref().and_then(Secrets::told) {
                eprintln!("{said}");
            }
            done(&output, count);
            Ok(())
        }
        DeployTarget::Helm { source, output } => helm(&plan(&source)?, &output),
        DeployTarget::Compose { source, output } => {
            compose(&read(&source, Platform::Containers)?, &source, &output)
        }
        DeployTarget::Podman { source, output } => {
            podman(&read(&source, Platform::Containers)?, &source, &output)
        }
        DeployTarget::Systemd { source, output } => {
            systemd(&read(&source, Platform::Machine)?, &output)
        }
        DeployTarget::Apply(args) => {
            let plan = plan(&args.source)?;
            let known = apply::known_keys(&plan, &args).await;
            let (count, secrets) = kubernetes(&plan, &args.source, &args.output, known.as_ref())?;
            eprintln!("wrote {} to {}", counted(count, "file"), args.output.display());
            apply::apply(&plan, secrets.as_ref(), known.as_ref(), &args).await
        }
    }
}

/// Reads the application file for a cluster.
fn plan(source: &DeploySource) -> Result<Plan, Exit> {
    read(source, Platform::Cluster)
}

/// Reads the application file. The values of its secrets are not asked for.
fn read(source: &DeploySource, place: Platform) -> Result<Plan, Exit> {
    let path = &source.application;
    let file = path.display().to_string();
    let wrong =
        |why: String, fix: &str| Exit::from(Diagnostics::of_file(&file, Problem::new(why, fix)));
    if let Some(Err(problem)) = source.image.as_deref().map(image) {
        return Err(Exit::Usage(format!("--image: {problem}")));
    }
    let text = text_of(path, limits::APPLICATION_FILE_BYTES).map_err(|why| {
        wrong(format!("cannot read the application file: {why}"), "name another one")
    })?;
    let plan = plan::read(&Input {
        text: &text,
        file: &file,
        folder: folder_of(path),
        image: source.image.as_deref(),
        place,
        read: &text_of,
    })?;
    for warning in &plan.warnings {
        eprintln!("{}", told(&format!("{file}: warning: {warning}")));
    }
    Ok(plan)
}

/// A text file of at most so many bytes; the error says why not, without any of its content.
fn text_of(path: &Path, most: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    // One more than allowed tells a file that is too large from one that just fits.
    File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Writes base and overlays, and the file with secrets if the overlay for this machine needs one. Gives what that lacks.
/// Passwords that a cluster has already are not made again.
fn kubernetes(
    plan: &Plan,
    source: &DeploySource,
    output: &Path,
    known: Option<&Keys>,
) -> Result<(usize, Option<Secrets>), Exit> {
    let folder = Folder::new(output)?;
    let files = kustomize::files(plan);
    for file in &files {
        // The overlay for other clusters is an example, which belongs to whoever changes it, and so may a .gitignore.
        let is_users = file.path.starts_with("overlays/production/") || file.path == ".gitignore";
        folder.write(file, if is_users { Rewrite::Never } else { Rewrite::Always })?;
    }
    folder.remove_old("base", "kubernetes", &files)?;
    if plan.all_secrets().is_empty() {
        return Ok((files.len(), None));
    }
    let text = folder.append_secrets(kustomize::SECRETS, |text, made| {
        let is_known = |name: &str| known.is_some_and(|keys| keys.has(name));
        kustomize::missing_secrets(
            plan,
            text,
            |name| if is_known(name) { None } else { made(name) },
        )
    })?;
    let path = output.join(kustomize::SECRETS);
    if text.has_grown {
        eprintln!("secrets of the overlay local: {}", path.display());
        folder.warn_of_repositories(&path);
    }
    let secrets = Secrets::of(plan, &text.text, &path, folder_of(&source.application));
    Ok((files.len(), Some(secrets)))
}

/// From a folder that is there to that of the application file, as a path: empty where it is the same.
fn way(from: &Path, source: &DeploySource) -> anyhow::Result<String> {
    let absolute = |path: &Path| {
        let path = if path == Path::new("") { Path::new(".") } else { path };
        let shown = path.display();
        path.canonicalize().with_context(|| format!("cannot find the folder {shown}"))
    };
    let (from, to) = (absolute(from)?, absolute(folder_of(&source.application))?);
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other);
    let common = common.count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    Ok(way.display().to_string())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn helm(plan: &Plan, output: &Path) -> Result<(), Exit> {
    let folder = Folder::new(output)?;
    let files = helm::files(plan);
    for file in &files {
        folder.write(file, Rewrite::Always)?;
    }
    folder.remove_old("templates", "helm", &files)?;
    done(output, files.len());
    Ok(())
}

fn compose(plan: &Plan, source: &DeploySource, output: &Path) -> Result<(), Exit> {
    let parent = output.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    let folder = Folder::new(parent)?;
    let text = compose::text(plan, &way(parent, source)?);
    let name = output.file_name().unwrap_or_default().to_string_lossy().into_owned();
    folder.write(&wasm_host_deploy::File { path: name, text }, Rewrite::Always)?;
    let made =
        folder.append_secrets(".env", |text, made| compose::missing_variables(plan, text, made))?;
    if made.has_grown {
        eprintln!("passwords of servers: .env beside it, which belongs into no repository");
    }
    output::show(&format!("wrote {}\n", output.display()));
    Ok(())
}

fn podman(plan: &Plan, source: &DeploySource, output: &Path) -> Result<(), Exit> {
    let folder = Folder::new(output)?;
    let from = folder_of(&source.application);
    let from = if from == Path::new("") { Path::new(".") } else { from };
    let shown = from.display();
    let from = from.canonicalize().with_context(|| format!("cannot find the folder {shown}"))?;
    let files = podman::files(plan, &from.display().to_string());
    for file in &files {
        folder.write(
            file,
            if file.path == ".gitignore" { Rewrite::Never } else { Rewrite::Always },
        )?;
    }
    folder.remove_old("", "podman", &files)?;
    if !plan.all_secrets().is_empty() {
        let made = |text: &str, made: &mut dyn FnMut(&str) -> Option<String>| {
            podman::missing_values(plan, text, made)
        };
        let secrets = folder.append_secrets(podman::SECRETS, made)?;
        let file = output.join(podman::SECRETS);
        if secrets.has_grown {
            folder.warn_of_repositories(&file);
        }
        let lacks = podman::unfilled(plan, &secrets.text);
        if !lacks.is_empty() {
            let names: Vec<_> = lacks.into_iter().map(|secret| secret.name).collect();
            eprintln!(
                "{} has no value for {}: fill it before the pods start",
                file.display(),
                names.join(", ")
            );
        }
    }
    done(output, files.len());
    eprint!("to start it:\n{}", podman::commands(plan, &output.display().to_string()));
    Ok(())
}

fn systemd(plan: &Plan, output: &Path) -> Result<(), Exit> {
    let folder = Folder::new(output)?;
    let files = systemd::files(plan);
    for file in &files {
        folder.write(file, Rewrite::Always)?;
    }
    done(output, files.len());
    Ok(())
}

fn done(output: &Path, count: usize) {
    output::show(&format!("wrote {} to {}\n", counted(count, "file"), output.display()));
}
