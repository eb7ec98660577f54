"""Builds the component with zig's C compiler: `python3 build.py FILE`. Nothing is fetched while it runs."""

import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from building import publish, run, tool, wit  # noqa: E402

with tempfile.TemporaryDirectory(prefix="hello-c-") as folder:
    folder = pathlib.Path(folder)
    core, typed, component = (folder / name for name in ("core.wasm", "typed.wasm", "whole.wasm"))
    freestanding = ["-target", "wasm32-freestanding", "-nostdlib", "-Wl,--no-entry"]
    run(sys.executable, "-m", "ziglang", "cc", *freestanding, "-O2", "-o", core, HERE / "hello.c")
    tools = tool("wasm-tools")
    run(*tools, "component", "embed", "--world", "service", wit(folder, HERE, "0.2"), core, "-o", typed)
    run(*tools, "component", "new", typed, "-o", component)
    publish(component, sys.argv[1])
