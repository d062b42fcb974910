"""Predictions on image files with an exported model."""

import pathlib
import typing
from collections.abc import Iterator

from conveyor.components.evaluator.saved_model import find_saved_model, open_served

_MAX_PIXELS = 50_000_000  # the default of data.max_pixels


def predict_files(model: str, images: list[str], batch_size: int = 32) -> Iterator[dict[str, typing.Any]]:
    """Yields a dict per image: `image`, and the outputs of the model, or `error`.

    Files are read as the training data was: any format, upright, without alpha.

    Args:
        model: See `find_saved_model`.
        images: Paths of image files.
        batch_size: Images a request.

    Raises:
        UserError: There is no such model.
    """
    served = open_served(find_saved_model(model))
    for start in range(0, len(images), batch_size):
        names = images[start : start + batch_size]
        read = [_read(name) for name in names]
        rows = iter(_answer(served, [data for data, _ in read if data is not None]))
        for name, (data, problem) in zip(names, read, strict=True):
            yield {"image": name, **({"error": problem} if data is None else next(rows))}


def _read(name: str) -> tuple[bytes | None, str]:
    """Returns the bytes to send to the model, or None and why there are none."""
    from conveyor.components.example_gen.images import RejectedError, measure

    try:
        return measure(pathlib.Path(name).read_bytes(), _MAX_PIXELS).data, ""
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except RejectedError as no:
        return None, f"is no image that can be used: {no.reason}: {no.detail}"


def _answer(served: typing.Any, images: list[bytes]) -> list[dict[str, typing.Any]]:
    """Returns the outputs for each image; if a batch fails, each image is tried alone."""
    import tensorflow as tf

    from conveyor.components.datasets import as_unicode

    if not images:
        return []
    try:
        outputs = served(images=tf.constant(images))
    except tf.errors.OpError as error:
        if len(images) == 1:
            return [{"error": f"is no image the model can read: {error.message.splitlines()[0][:200]}"}]
        return [row for image in images for row in _answer(served, [image])]
    arrays = {name: as_unicode(tensor.numpy()) for name, tensor in outputs.items()}
    return [{name: array[index].tolist() for name, array in arrays.items()} for index in range(len(images))]
