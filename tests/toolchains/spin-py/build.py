"""Builds the component with componentize-py and Spin's SDK, which brings the interfaces: `python3 build.py FILE`."""

import os
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from building import publish, run, tool  # noqa: E402

with tempfile.TemporaryDirectory(prefix="spin-py-") as folder:
    folder = pathlib.Path(folder)
    # Nothing but the service and the SDK is put into the component.
    shutil.copy(HERE / "service.py", folder)
    for place in os.environ["PYTHONPATH"].split(os.pathsep):
        sdk = pathlib.Path(place) / "spin_sdk"
        if sdk.is_dir():
            shutil.copytree(sdk, folder / "spin_sdk")
    component = folder / "whole.wasm"
    world = ["-w", "spin:up/http-trigger@4.1.0"]
    run(*tool("componentize-py"), "--quiet", *world, "componentize", "-p", folder, "service", "-o", component)
    publish(component, sys.argv[1])
