"""Holds objects against the schemas of Kubernetes from 1.28 to 1.37, and prints them as JSON lines.

Each argument is a file with YAML documents. Unknown keys are errors, too. Ends with 1 if anything is wrong.
"""

import functools
import json
import sys

import kubernetes_validate.utils as utils
import yaml

VERSIONS = [f"1.{minor}" for minor in range(28, 38)]

# Otherwise all definitions are read anew for each object.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)


@functools.lru_cache(maxsize=None)
def parsed(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


wrong = 0
for path in sys.argv[1:]:
    for document in parsed(path):
        # Where one text ends, for whoever asks about several.
        for version in VERSIONS if document != {"kind": "End"} else []:
            try:
                utils.validate(document, version, strict=True)
            except Exception as problem:
                name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
                print(f"{path}: {name}, {version}: {str(problem)[:500]}", file=sys.stderr)
                wrong += 1
        print(json.dumps(document, sort_keys=True))
sys.exit(1 if wrong else 0)
