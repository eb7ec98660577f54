//! `cargo xtask image`: the release program, stripped, as an image. The program packs itself, with what it is linked to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, MINUTE, Steps};
use crate::{Profile, project, serve};

/// What the files of the image may take where it runs: most of it is the program.
const MOST_BYTES: u64 = 60_000_000;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let output = output(args)?;
    let mut steps = Steps::new(3);
    steps.run("host", || {
        let mut cargo = project::cargo();
        cargo.args(["build", "--locked", "--release", "--package", "wasm-host"]);
        shell::shown(&mut cargo, 60 * MINUTE)?;
        Ok(((), "built".to_owned()))
    })?;
    let program = project::target().join("xtask/image/wasm-host");
    steps.run("symbols", || {
        strip(&serve::host_binary(Profile::Release), &program)?;
        Ok(((), "left out".to_owned()))
    })?;
    steps.run("image", || {
        let mut host = Command::new(&program);
        host.args(["image", "base", "--output"]).arg(&output);
        shell::shown(&mut host, 5 * MINUTE)?;
        let bytes = unpacked(&output)?;
        let megabytes = bytes as f64 / 1e6;
        if bytes >= MOST_BYTES {
            bail!(
                "the image has {megabytes:.1} MB, and is to have less than {}",
                MOST_BYTES / 1_000_000
            );
        }
        Ok(((), format!("{megabytes:.1} MB, in {}", output.display())))
    })
}

/// The bytes of all layers of a layout, unpacked: what each says at its end, as gzip has it.
fn unpacked(layout: &Path) -> Result<u64> {
    let blobs = layout.join("blobs/sha256");
    let mut sum = 0;
    for blob in fs::read_dir(&blobs).with_context(|| format!("cannot read {}", blobs.display()))? {
        let bytes = fs::read(blob?.path())?;
        if let (true, Some(length)) = (bytes.starts_with(&[0x1f, 0x8b]), bytes.last_chunk::<4>()) {
            sum += u64::from(u32::from_le_bytes(*length));
        }
    }
    Ok(sum)
}

/// A copy without symbols and what else only debuggers read.
fn strip(program: &Path, copy: &Path) -> Result<()> {
    let folder = copy.parent().context("the target folder has a parent")?;
    std::fs::create_dir_all(folder)?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(copy).arg(program);
    shell::shown(&mut strip, MINUTE)
        .context("`strip` comes with binutils, which the linker needs, too")
}

fn output(args: &[String]) -> Result<PathBuf> {
    match args {
        [] => Ok(project::target().join("image")),
        [option, folder] if option == "--output" => Ok(PathBuf::from(folder)),
        _ => bail!("usage: cargo xtask image [--output DIR]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_as_large_as_what_its_layers_unpack_to() {
        let folder = std::env::temp_dir().join(format!("xtask-image-{}", std::process::id()));
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        // Ends of two layers, and a manifest.
        for (name, bytes) in [
            ("a", &[0x1f, 0x8b, 8, 0, 9, 9, 9, 9, 0, 1, 0, 0][..]),
            ("b", &[0x1f, 0x8b, 8, 0, 9, 9, 9, 9, 7, 0, 0, 0]),
            ("c", b"{\"layers\": []}"),
        ] {
            fs::write(blobs.join(name), bytes).unwrap();
        }
        let sum = unpacked(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(sum.unwrap(), 256 + 7);
    }
}
