"""Predictions on image files with an exported model."""

import pathlib
import typing
from collections.abc import Callable, Iterator

from conveyor.components.contract import read_contract
from conveyor.components.evaluator.saved_model import find_saved_model, open_served

_MAX_PIXELS = 50_000_000  # the default of data.max_pixels
Ask = Callable[[list[bytes]], list[dict[str, typing.Any]]]
Show = Callable[[str, bytes, dict[str, typing.Any]], str]


def predict_files(
    model: str,
    images: list[str],
    batch_size: int = 32,
    token: str = "",
    draw: pathlib.Path | None = None,
) -> Iterator[dict[str, typing.Any]]:
    """Yields a dict per image: `image`, and the outputs of the model, or `error`.

    Files are read as the training data was: any format, upright, without alpha.

    Args:
        model: See `find_saved_model`; or the address of a server, see `Client`.
        images: Paths of image files.
        batch_size: Images a request.
        token: For a server.
        draw: A folder for pictures of predictions, whose names are added as `picture`; None for none.

    Raises:
        UserError: There is no such model.
    """
    show = _drawing(model, token, draw) if draw else None
    ask = open_model(model, token)
    for start in range(0, len(images), batch_size):
        yield from answer_all(ask, images[start : start + batch_size], _read_bytes, show)


def _drawing(model: str, token: str, folder: pathlib.Path) -> Show:
    from conveyor.components.commands.draw import Drawer

    if is_server(model):
        from conveyor.components.serving.client import Client

        drawer = Drawer(Client(model, token).contract(), folder)
    else:
        drawer = Drawer(read_contract(find_saved_model(model)), folder)
    return lambda name, image, outputs: str(drawer.draw(name, image, outputs))


def open_model(model: str, token: str = "") -> Ask:
    """Returns what answers encoded images: an exported model, or a server.

    Args:
        model: See `predict_files`.
        token: For a server.

    Raises:
        UserError: There is no such model.
    """
    return _ask_server(model, token) if is_server(model) else _ask_model(model)


def is_server(model: str) -> bool:
    """Whether a model is named by the address of its server."""
    return model.startswith(("http://", "https://"))


def answer_all(
    ask: Ask, names: list[str], read: Callable[[str], bytes], show: Show | None = None
) -> Iterator[dict[str, typing.Any]]:
    """Yields a dict per image: `image`, its name, and the outputs of the model, or `error`.

    Args:
        ask: Answers them together.
        names: What the images are called.
        read: Returns the bytes of a file.
        show: Draws name, image and outputs; returns the name of the picture, `picture` of the dict.
    """
    found = [_read(name, read) for name in names]
    rows = iter(_answer(ask, [data for data, _ in found if data is not None]))
    for name, (data, problem) in zip(names, found, strict=True):
        row = {"error": problem} if data is None else next(rows)
        drawn = {"picture": show(name, data, row)} if show and data and "error" not in row else {}
        yield {"image": name, **row, **drawn}


class _NoAnswerError(Exception):
    """A batch is not answered; the text says why."""


def _ask_server(url: str, token: str) -> Ask:
    from conveyor.components.serving.client import Client, RefusedError

    client = Client(url, token)

    def ask(images: list[bytes]) -> list[dict[str, typing.Any]]:
        try:
            return client.predict(images)
        except RefusedError as error:
            raise _NoAnswerError(str(error)) from None

    return ask


def _ask_model(model: str) -> Ask:
    saved_model = find_saved_model(model)
    import tensorflow as tf

    from conveyor.components.datasets import as_unicode

    served = open_served(saved_model)

    def ask(images: list[bytes]) -> list[dict[str, typing.Any]]:
        try:
            outputs = served(images=tf.constant(images))
        except tf.errors.OpError as error:
            told = error.message.splitlines()[0][:200]
            raise _NoAnswerError(f"is no image the model can read: {told}") from None
        arrays = {name: as_unicode(tensor.numpy()) for name, tensor in outputs.items()}
        return [
            {name: array[index].tolist() for name, array in arrays.items()} for index in range(len(images))
        ]

    return ask


def _answer(ask: Ask, images: list[bytes]) -> list[dict[str, typing.Any]]:
    """Returns the outputs for each image; if a batch fails, each image is tried alone."""
    if not images:
        return []
    try:
        return ask(images)
    except _NoAnswerError as error:
        if len(images) == 1:
            return [{"error": str(error)}]
        return [row for image in images for row in _answer(ask, [image])]


def _read_bytes(name: str) -> bytes:
    return pathlib.Path(name).read_bytes()


def _read(name: str, read: Callable[[str], bytes]) -> tuple[bytes | None, str]:
    """Returns the bytes to send to the model, or None and why there are none."""
    from conveyor.components.example_gen.images import RejectedError, measure

    try:
        return measure(read(name), _MAX_PIXELS).data, ""
    except OSError as error:
        return None, f"cannot be read: {error.strerror or error}"
    except RejectedError as no:
        return None, f"is no image that can be used: {no.reason}: {no.detail}"
