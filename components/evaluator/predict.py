"""Predictions on image files with an exported model."""

import pathlib
import typing
from collections.abc import Iterator

from conveyor.pipeline.errors import UserError


def find_saved_model(model: str) -> pathlib.Path:
    """Returns the SavedModel folder that a user means.

    Args:
        model: A SavedModel, a Model artifact, or a serving folder (its newest version is taken).

    Raises:
        UserError: There is none.
    """
    path = pathlib.Path(model)
    versions = [child for child in path.iterdir() if child.name.isdigit()] if path.is_dir() else []
    newest = [max(versions, key=lambda child: int(child.name))] if versions else []
    for candidate in (path, path / "saved_model", *newest):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    raise UserError(
        "there is no exported model",
        expected="a SavedModel, a Model artifact, or a folder with integer versions",
        received=model,
    )


def predict_files(model: str, images: list[str], batch_size: int = 32) -> Iterator[dict[str, typing.Any]]:
    """Yields a dict per image: `image`, and the outputs of the model, or `error`.

    Args:
        model: See `find_saved_model`.
        images: Paths of image files.
        batch_size: Images a request.

    Raises:
        UserError: There is no such model.
    """
    saved_model = find_saved_model(model)
    import tensorflow as tf

    served = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    for start in range(0, len(images), batch_size):
        names = images[start : start + batch_size]
        read = [_read(name) for name in names]
        rows = iter(_answer(served, [data for data, _ in read if data is not None]))
        for name, (data, problem) in zip(names, read, strict=True):
            yield {"image": name, **({"error": problem} if data is None else next(rows))}


def _read(name: str) -> tuple[bytes | None, str]:
    try:
        return pathlib.Path(name).read_bytes(), ""
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"


def _answer(served: typing.Any, images: list[bytes]) -> list[dict[str, typing.Any]]:
    """Returns the outputs for each image; if a batch fails, each image is tried alone."""
    import tensorflow as tf

    if not images:
        return []
    try:
        outputs = {name: tensor.numpy() for name, tensor in served(images=tf.constant(images)).items()}
    except tf.errors.OpError as error:
        if len(images) == 1:
            return [{"error": f"is no image the model can read: {error.message.splitlines()[0][:200]}"}]
        return [row for image in images for row in _answer(served, [image])]
    return [{name: _plain(array[index]) for name, array in outputs.items()} for index in range(len(images))]


def _plain(value: typing.Any) -> typing.Any:
    return value.decode() if isinstance(value, bytes) else value.tolist()
