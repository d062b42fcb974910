"""Artifacts: typed directories, immutable once published.

A published artifact lies in `<workspace>/artifacts/<type>/<digest>/`. Beside its content it holds
`artifact.json`: type, digest, properties, and size and digest of every file.
"""

import dataclasses
import json
import pathlib
import typing

from conveyor.pipeline.digest import digest_file, digest_of, list_files

MANIFEST = "artifact.json"

_Artifact = typing.TypeVar("_Artifact", bound="Artifact")


@dataclasses.dataclass
class Artifact:
    """A directory of one type. Subclass it to name a type and give its files names.

    Args:
        path: The directory: where a stage reads its input from, or writes its output to.
        properties: Small JSON values that say what the content is. Two keys mean something to the
            engine: `summary` (merged into the run's summary) and `gate` (see `close_gate`).
        digest: Digest of type, properties and content; empty while the artifact is being written.
    """

    path: pathlib.Path
    properties: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    digest: str = ""

    @classmethod
    def type_name(cls) -> str:
        """The name of the type: that of the class."""
        return cls.__name__

    @classmethod
    def load(cls: type[_Artifact], path: str | pathlib.Path) -> _Artifact:
        """Opens a published artifact.

        Raises:
            FileNotFoundError: `path` holds no published artifact.
        """
        path = pathlib.Path(path)
        manifest = read_manifest(path)
        return cls(path, manifest["properties"], manifest["digest"])

    def close_gate(self, reason: str, fix: str = "") -> None:
        """Marks this output as a verdict that stops the run: exit code 3."""
        self.properties["gate"] = {"reason": reason, "fix": fix}


def read_manifest(path: pathlib.Path) -> dict[str, typing.Any]:
    """Returns the content of `artifact.json` below `path`."""
    return json.loads((path / MANIFEST).read_text(encoding="utf-8"))


def seal(artifact: Artifact, producer: dict[str, str]) -> str:
    """Digests a finished output, writes its manifest, and returns the digest.

    Args:
        artifact: The output, still in its staging directory.
        producer: Stage and cache key that made it; recorded, not part of the digest.
    """
    files = {}
    for name in list_files(artifact.path):
        if name != MANIFEST:  # there is one already where a stage copied a whole input
            file = artifact.path / name
            files[name] = {"bytes": file.stat().st_size, "digest": digest_file(file)}
    content = {"type": artifact.type_name(), "properties": artifact.properties, "files": files}
    artifact.digest = digest_of(content)
    manifest = {"digest": artifact.digest, **content, "producer": producer}
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (artifact.path / MANIFEST).write_text(text, encoding="utf-8")
    return artifact.digest


def is_complete(path: pathlib.Path) -> bool:
    """Whether all files of the artifact at `path` are there, at the size they were published with."""
    try:
        files = read_manifest(path)["files"]
        return all((path / name).stat().st_size == file["bytes"] for name, file in files.items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def changed_files(path: pathlib.Path) -> list[str]:
    """Returns the files of a published artifact whose content is not what was published."""
    manifest = read_manifest(path)
    files = manifest["files"]
    present = set(list_files(path)) - {MANIFEST}
    odd = [name for name in files if name not in present or digest_file(path / name) != files[name]["digest"]]
    if digest_of({key: manifest[key] for key in ("type", "properties", "files")}) != manifest["digest"]:
        odd.append(MANIFEST)
    return sorted(odd + list(present - set(files)))
