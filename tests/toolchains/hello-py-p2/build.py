"""Builds the component with componentize-py: `python3 build.py FILE`. Nothing is fetched while it runs."""

import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from building import componentize  # noqa: E402

componentize(HERE, "0.2", sys.argv[1])
