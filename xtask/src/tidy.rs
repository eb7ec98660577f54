//! Rules of this repository that no compiler checks. A rule is worth having here if breaking it
//! would go unnoticed: a path in the documentation that is gone, a picture of what has changed since, a file that
//! is too long to be read.

mod crates;
mod documents;
mod faults;
mod modules;
mod settings;
mod sources;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{project, shell};

/// Runs every rule and reports all that is wrong, not only the first.
pub(crate) fn run() -> Result<()> {
    let problems = problems(&project::root())?;
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        eprintln!("  {problem}");
    }
    bail!("{} not in order (listed above)", counted(problems.len()))
}

/// Writes the parts of documents that are made of something else.
pub(crate) fn write() -> Result<()> {
    let root = project::root();
    let path = root.join(crates::DOCUMENT);
    let text = crates::written(&root, &fs::read_to_string(&path)?)?;
    fs::write(&path, modules::written(&root, &text)?)?;
    let path = root.join(settings::DOCUMENT);
    fs::write(&path, settings::written(&fs::read_to_string(&path)?)?)?;
    let path = root.join(faults::DOCUMENT);
    let text = faults::written(&root, tracked(&root)?.iter(), &fs::read_to_string(&path)?)?;
    Ok(fs::write(&path, text)?)
}

/// A document with `part` between two lines of it.
fn between(text: &str, begin: &str, end: &str, part: &str) -> Result<String> {
    let missing = || format!("the document has no place to write to: {begin}{end}");
    let (before, rest) = text.split_once(begin).with_context(missing)?;
    let (_, after) = rest.split_once(end).with_context(missing)?;
    Ok(format!("{before}{begin}{part}{end}{after}"))
}

fn counted(number: usize) -> String {
    if number == 1 { "1 thing is".to_owned() } else { format!("{number} things are") }
}

fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let files = tracked(root)?;
    for path in &files {
        // A file that is deleted and not yet committed so is still listed.
        let Ok(bytes) = fs::read(root.join(path)) else {
            continue;
        };
        problems.extend(sources::size(path, bytes.len()));
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        problems.extend(sources::problems(path, &text));
        if path == crates::DOCUMENT {
            problems.extend(crates::problems(root, &text)?);
        }
        if path == modules::DOCUMENT {
            problems.extend(modules::problems(root, &text)?);
        }
        if path == settings::DOCUMENT {
            problems.extend(settings::problems(&text)?);
        }
        if path == faults::DOCUMENT {
            problems.extend(faults::problems(root, files.iter(), &text)?);
        }
        if documents::is_checked(path) {
            problems.extend(documents::problems(root, path, &text));
        }
    }
    problems.extend(vendored(&root.join("wit/deps"))?);
    Ok(problems)
}

/// Files in git and files about to be: a rule that speaks up after the commit is too late.
fn tracked(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = shell::answer(&mut git).context("`git ls-files` fails; tidy needs a checkout")?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Interfaces of others are vendored to the letter: a local change would be a dialect.
fn vendored(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let sums = folder.join("CHECKSUMS");
    let Ok(listed) = fs::read_to_string(&sums) else {
        return Ok(vec!["wit/deps/CHECKSUMS is missing".to_owned()]);
    };
    let mut problems = unlisted(folder, &listed)?;
    let (program, options): (_, &[&str]) = match shell::find("sha256sum") {
        Some(program) => (program, &[]),
        None => (shell::find("shasum").context("there is no sha256sum")?, &["-a", "256"]),
    };
    let mut check = Command::new(program);
    check.args(options).args(["-c", "CHECKSUMS"]).current_dir(folder);
    let output = check.output().with_context(|| format!("cannot run {}", shell::name(&check)))?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let wrong = lines.lines().filter(|line| !line.ends_with(": OK"));
    problems.extend(wrong.map(|line| format!("wit/deps/{line}, against CHECKSUMS")));
    if problems.is_empty() && !output.status.success() {
        problems.push("wit/deps/CHECKSUMS cannot be checked, `sha256sum -c` fails".to_owned());
    }
    Ok(problems)
}

fn unlisted(folder: &Path, listed: &str) -> Result<Vec<String>> {
    let known: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, name)| name.trim_start_matches([' ', '*']).trim_start_matches("./"))
        .collect();
    let mut problems = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if name != "CHECKSUMS" && !known.contains(&name.as_str()) {
                problems.push(format!("wit/deps/{name} is not listed in wit/deps/CHECKSUMS"));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules hold for the repository they are written in, whenever its tests run.
    #[test]
    fn this_repository_is_tidy() {
        // Sources without git, such as an archive, have nothing to list.
        if project::root().join(".git").exists() {
            assert_eq!(problems(&project::root()).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_changed_and_an_added_interface_are_both_noticed() {
        let folder = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        fs::write(folder.join("CHECKSUMS"), format!("{empty}  a/same.wit\n")).unwrap();
        fs::write(folder.join("a/same.wit"), "").unwrap();
        assert_eq!(vendored(&folder).unwrap(), Vec::<String>::new());

        fs::write(folder.join("a/same.wit"), "changed").unwrap();
        fs::write(folder.join("a/added.wit"), "").unwrap();
        let problems = vendored(&folder).unwrap().join("\n");
        assert!(problems.contains("a/same.wit: FAILED"), "{problems}");
        assert!(problems.contains("a/added.wit is not listed"), "{problems}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
