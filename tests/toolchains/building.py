"""What the builds of the components beside this file have in common."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent.parent


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


def tool(name):
    """A program of a package that pip installed into a folder of its own, which is on PYTHONPATH."""
    for folder in os.environ["PYTHONPATH"].split(os.pathsep):
        path = pathlib.Path(folder) / "bin" / name
        if path.is_file():
            return [sys.executable, path]
    raise SystemExit(f"{name} is not installed; run `cargo xtask setup`")


def wit(folder, component, version):
    """The component's world with the interfaces of this repository, each package where tools look for it."""
    place = folder / "wit"
    for file in (ROOT / f"wit/deps/wasi-{version}").glob("*.wit"):
        package = place / "deps" / file.stem
        package.mkdir(parents=True)
        shutil.copy(file, package)
    shutil.copy(component / "world.wit", place)
    return place


def publish(component, place):
    """Under its name it appears whole: a host may be watching."""
    place = pathlib.Path(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".partial")
    shutil.copyfile(component, partial)
    partial.rename(place)
    print(f"{place}: {place.stat().st_size / 1e6:.1f} MB")


def componentize(source, version, place):
    """The component of `service.py`."""
    with tempfile.TemporaryDirectory(prefix=f"{source.name}-") as folder:
        folder = pathlib.Path(folder)
        # Nothing but the service itself is put into the component.
        application = folder / "application"
        application.mkdir()
        shutil.copy(source / "service.py", application)
        component = folder / "whole.wasm"
        world = ["-d", wit(folder, source, version), "-w", "service"]
        made = ["componentize", "-p", application, "service", "-o", component]
        run(*tool("componentize-py"), "--quiet", *world, *made)
        publish(component, place)
