"""Finds the backbone that a model's settings name, when the pipeline is wired."""

import pathlib
import re
import typing
import zipfile

from conveyor.components.artifacts import Model
from conveyor.models.pretrained.settings import BackboneSettings
from conveyor.pipeline.artifacts import is_complete
from conveyor.pipeline.config import Settings
from conveyor.pipeline.digest import digest_file
from conveyor.pipeline.errors import UserError, did_you_mean
from conveyor.pipeline.metadata import MetadataStore

_WHERE = "section `model.backbone` of the config"
_MAX_BYTES = 16 << 30  # no saved model unpacks to more
_DIGEST = re.compile("[0-9a-f]{6,64}")

_Settings = typing.TypeVar("_Settings", bound=Settings)


def resolve_backbone(model: _Settings, normalize: str, workspace: pathlib.Path) -> _Settings:
    """Returns a family's settings with the path and digest of the backbone that they name.

    So what was meant is part of the trainer's cache key, and another content is another training.
    Settings without a backbone, or with one that needs no file, stay as they are.

    Args:
        model: Settings of any family.
        normalize: `transform.normalize`; a trained backbone normalises by itself, from [0, 1].
        workspace: Root of the workspace that runs and artifacts are in.

    Raises:
        UserError: There is no such run, artifact or file, it is no saved model, or its content is
            not what `digest` says.
    """
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, Settings) and hasattr(backbone, "backbone"):  # a family in a detector
        inner = resolve_backbone(backbone, normalize, workspace)
        return model if inner is backbone else model.model_copy(update={"backbone": inner})
    if not isinstance(backbone, BackboneSettings):
        return model
    if backbone.is_trained and normalize != "rescale":
        raise UserError(
            "a trained backbone needs the pixels as they are, because it normalises them by itself",
            expected="transform.normalize=rescale",
            received=f"transform.normalize={normalize}",
            where=_WHERE,
        )
    found = _find(backbone, workspace)
    if backbone.digest and found.get("digest", backbone.digest) != backbone.digest:
        raise UserError(
            "the backbone has another content than the config says",
            expected=f"digest {backbone.digest}",
            received=f"{found['digest']} of {found.get('path', found.get('weights'))}",
            where=_WHERE,
        )
    return model.model_copy(update={"backbone": BackboneSettings(**{**backbone.model_dump(), **found})})


def _find(backbone: BackboneSettings, workspace: pathlib.Path) -> dict[str, typing.Any]:
    """Returns what changes in the settings."""
    if backbone.application:
        if backbone.weights in ("none", "imagenet"):
            return {}
        file = _existing(backbone.weights)
        if not file.name.endswith((".weights.h5", ".h5")):
            raise _unusable(file, "a .weights.h5 file")
        return {"weights": str(file), "digest": digest_file(file)}
    if backbone.path:
        path = _existing(backbone.path)
        return _of_artifact(path, backbone) if path.is_dir() else _of_file(path)
    store = _store(workspace)
    row = _of_run(store, backbone.run) if backbone.run else _by_digest(store, backbone.artifact)
    return {"run": "", "artifact": "", **_of_artifact(workspace / row["path"], backbone)}


def _existing(path: str) -> pathlib.Path:
    found = pathlib.Path(path).expanduser().absolute()
    if not found.exists():
        raise UserError("the backbone is not there", received=str(found), where=_WHERE)
    return found


def _of_file(file: pathlib.Path) -> dict[str, typing.Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile):
        names, size = [], 0
    if file.suffix != ".keras" or "config.json" not in names or size > _MAX_BYTES:
        raise _unusable(
            file, "a .keras file, as keras.Model.save writes it, or the folder of a Model artifact"
        )
    return {"path": str(file), "digest": digest_file(file)}


def _of_artifact(folder: pathlib.Path, backbone: BackboneSettings) -> dict[str, typing.Any]:
    if not is_complete(folder):
        raise _unusable(folder, "the folder of a Model artifact, with all its files")
    artifact = Model.load(folder)
    if not artifact.keras_file.is_file():
        raise _unusable(folder, "the folder of a Model artifact, with a model.keras")
    given = {"mean": backbone.mean, "std": backbone.std} if backbone.mean else {}
    trained_on = artifact.properties.get("input", {})
    normalization = {name: trained_on[name] for name in ("mean", "std") if name in trained_on}
    return {"path": str(artifact.keras_file), "digest": artifact.digest, **normalization, **given}


def _unusable(path: pathlib.Path, expected: str) -> UserError:
    return UserError("the backbone cannot be used", expected=expected, received=str(path), where=_WHERE)


def _store(workspace: pathlib.Path) -> MetadataStore:
    file = workspace / "metadata.sqlite"
    if not file.exists():
        raise UserError(
            "the backbone is to come from an earlier run, but the workspace has none",
            received=str(workspace),
            where=_WHERE,
            fix="name the workspace of that run with --workspace, or give a path: {path: DIR}",
        )
    return MetadataStore(file)


def _of_run(store: MetadataStore, name: str) -> dict[str, typing.Any]:
    """Returns the artifact that a run trained: of the newest run with one, of the name or config."""
    runs = store.runs()
    configs = {run["config"] for run in runs if name in (run["name"], run["config"])}
    for config in sorted(configs):
        for summary, artifacts in store.past_runs(config):
            models = [row for row in artifacts if row["type"] == Model.type_name()]
            if models and name in (summary["run"], config):
                return models[-1]
    known = {run["name"] for run in runs} | {run["config"] for run in runs}
    if configs:
        raise UserError(
            f"no run of {name!r} has trained a model", where=_WHERE, fix=f"conveyor run {sorted(configs)[0]}"
        )
    raise UserError(
        f"there is no run {name!r} in this workspace",
        expected="the name of a run, or of a config that was run",
        where=_WHERE,
        fix=did_you_mean(name, known) or f"conveyor run {name}",
    )


def _by_digest(store: MetadataStore, digest: str) -> dict[str, typing.Any]:
    found = store.find_artifacts(digest) if _DIGEST.fullmatch(digest) else []
    models = [row for row in found if row["type"] == Model.type_name()]
    if len(models) == 1:
        return models[0]
    raise UserError(
        f"{len(models) or 'no'} Model artifacts have a digest that begins with {digest!r}",
        expected="the digest of one of this workspace, 6 characters of it or more",
        where=_WHERE,
        fix="conveyor show RUN tells the digests of a run",
    )


def backbone_reference(model: Settings) -> dict[str, str]:
    """Returns the digest of what a resolved backbone was made by, for the lineage; {} where there is none."""
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, Settings) and hasattr(backbone, "backbone"):
        return backbone_reference(backbone)
    return {"backbone": backbone.digest} if isinstance(backbone, BackboneSettings) and backbone.digest else {}
