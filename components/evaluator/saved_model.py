"""Finds and opens the exported model that a user means."""

import pathlib
import typing

from etils import epath

from conveyor.pipeline.errors import UserError


def find_saved_model(model: str) -> pathlib.Path:
    """Returns the SavedModel folder that a user means.

    Args:
        model: A SavedModel, a Model artifact, or a serving folder (its newest version is taken);
            local, or gs:// or s3://.

    Raises:
        UserError: There is none.
    """
    path = epath.Path(model)
    for candidate in (path, path / "saved_model", *_versions(path)):
        if (candidate / "saved_model.pb").exists():
            return candidate
    raise UserError(
        "there is no exported model",
        expected="a SavedModel, a Model artifact, or a folder with integer versions",
        received=model,
    )


def _versions(path: epath.Path) -> list[epath.Path]:
    """Returns what is named by a number below a folder, highest first."""
    children = list(path.iterdir()) if path.is_dir() else []
    numbered = [child for child in children if child.name.isascii() and child.name.isdigit()]
    return sorted(numbered, key=lambda child: int(child.name), reverse=True)


def open_served(saved_model: pathlib.Path) -> typing.Any:
    """Returns the signature of a SavedModel that takes encoded images.

    Raises:
        UserError: It has none.
    """
    import tensorflow as tf

    try:
        signatures = tf.saved_model.load(str(saved_model)).signatures
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            "the exported model cannot be loaded", received=_first_line(error), where=str(saved_model)
        ) from None
    found = signatures.get("serving_default")
    inputs = found.structured_input_signature[1] if found else {}
    if list(inputs) != ["images"] or inputs["images"].dtype != tf.string:
        raise UserError(
            "the exported model does not take encoded images",
            expected="a signature `serving_default` with one input, `images`, of strings",
            received=str(inputs or sorted(signatures)),
            where=str(saved_model),
            fix="export it with the trainer",
        )
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
