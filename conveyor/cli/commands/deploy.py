"""Write the files that serve a model elsewhere; nothing is started.

  docker   models.config and run.sh: TensorFlow Serving
  kserve   inferenceservice.yaml, for kubectl apply
  vertex   requests for Vertex AI, and deploy.sh, which sends them

KServe needs an address that a cluster can read, Vertex AI one that begins with gs://.
"""

import argparse
import pathlib
from collections.abc import Iterator
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("base", metavar="[NAME=]BASE", help="a serving folder: local, gs://, s3:// or pvc://")
    parser.add_argument("--to", metavar="TARGET", required=True, help="docker, kserve or vertex")
    parser.add_argument("--out", metavar="DIR", help="where the files go: deploy/TARGET unless told")
    parser.add_argument("--image", metavar="IMAGE", default="", help="of TensorFlow Serving")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the files.

    Returns:
        `name` of the model and `files`.

    Raises:
        UserError: There is no such target or model, or the target cannot read the folder.
    """
    from conveyor.components.deploy.render import Deployment, render
    from conveyor.components.serving.names import name_bases

    ((name, base),) = name_bases([arguments.base]).items()
    folder = pathlib.Path(arguments.out or pathlib.Path("deploy", arguments.to))
    files = render(Deployment(base, name, arguments.image), arguments.to, folder)
    return {"name": name, "files": list(map(str, files))}


def show(document: dict[str, Any]) -> Iterator[str]:
    """Yields the files."""
    yield from document["files"]
