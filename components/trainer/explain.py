"""Pictures of what a trained model sees, on a few validation examples."""

import pathlib
import typing

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from conveyor.components.datasets import as_unicode
from conveyor.models.explain.maps import Maps, filters, look
from conveyor.models.model import Model
from conveyor.models.tasks.task import Task

_EXAMPLES = 3
_TILE = 56  # pixels: nine tiles in a row are as wide as the card shows a picture
_COLUMNS = 9
_IMAGE = 128  # pixels, of a picture with a heat map
_MOST_PIXELS = 1 << 22  # of the examples among which those to show are chosen
_HOT = np.array([255, 60, 0], np.float32)

Plot = dict[str, typing.Any]


def explain(
    model: Model,
    task: Task,
    pixels: np.ndarray,
    inputs: np.ndarray,
    frame: dict[str, np.ndarray],
    truth: typing.Any,
    folder: pathlib.Path,
) -> list[Plot]:
    """Draws heat maps, feature maps and first filters; returns them as galleries.

    The most wrong example is shown, and some that are least wrong.

    Args:
        model: Trained; a functional model of one image.
        task: What it is for.
        pixels: uint8 [n, height, width, channels]: what inputs were made from.
        inputs: float32 [n, height, width, channels]: as the model takes them.
        frame: How images lie in inputs, see `conveyor.models.ops.frames`.
        truth: What `task.truth` gives for each.
        folder: The Model artifact; pictures go into `explain/` in it.

    Returns:
        Plots with files relative to the folder; as many as there is something to show of.
    """
    if inputs.ndim != 4 or not len(inputs):
        return []
    room = most_examples(*inputs.shape[1:3])
    pixels, inputs = pixels[:room], inputs[:room]
    frame, truth = keras.tree.map_structure(lambda values: values[:room], (frame, truth))
    chosen, captions = _choose(model, task, inputs, frame, truth)
    seen = look(model, inputs[chosen], channels=_COLUMNS - 1)
    (folder / "explain").mkdir()
    plots = [
        _heat_plot(seen.heat, pixels[chosen], captions, folder),
        _features_plot(seen.features, pixels[chosen], captions, folder),
        _filters_plot(filters(model), folder),
    ]
    return [plot for plot in plots if plot]


def most_examples(height: int, width: int) -> int:
    """Returns among how many examples of a size those to show are chosen."""
    return max(_EXAMPLES, _MOST_PIXELS // max(1, height * width))


def _choose(
    model: Model, task: Task, inputs: np.ndarray, frame: dict[str, np.ndarray], truth: typing.Any
) -> tuple[list[int], list[str]]:
    """Returns the most wrong example and some of the half that is least wrong, with a line on each."""
    decoded = task.decode(inputs, tf.function(model.serve, autograph=False)(inputs), frame)
    outputs = {name: as_unicode(np.asarray(value)) for name, value in decoded.items()}
    records = task.record(truth, outputs)
    badness = task.badness(records)
    order = np.argsort(badness, kind="stable")
    half = np.sort(order[: len(order) // 2])
    spread = half[:: max(1, len(half) // (_EXAMPLES - 1))]  # neighbours may look alike
    chosen = list(dict.fromkeys([int(badness.argmax()), *spread.tolist(), *order.tolist()]))[:_EXAMPLES]
    rows = [{name: column[index] for name, column in records.items()} for index in chosen]
    return chosen, [task.caption(row) for row in rows]


def _heat_plot(
    heat: Maps | None, pixels: np.ndarray, captions: list[str], folder: pathlib.Path
) -> Plot | None:
    if heat is None:
        return None
    items = []
    for number, (image, warmth, caption) in enumerate(zip(pixels, heat.values, captions, strict=True)):
        plain = _fit(_rgb(image), _IMAGE)
        size = (plain.shape[1], plain.shape[0])
        spread = PIL.Image.fromarray(warmth[..., 0]).resize(size, PIL.Image.Resampling.BILINEAR)
        share = 0.65 * np.asarray(spread)[..., None]
        warmed = np.rint(plain * (1 - share) + _HOT * share).astype(np.uint8)
        items.append(_save(np.concatenate([plain, warmed], axis=1), f"heat_{number}", caption, folder))
    return {
        "kind": "gallery",
        "title": "Where the answer comes from",
        "caption": f"Each image, and over it in red what speaks for the answer (Grad-CAM at {heat.layer})."
        " Red far from the object: the model may go by something else, such as the background.",
        "items": items,
    }


def _features_plot(
    features: list[Maps], pixels: np.ndarray, captions: list[str], folder: pathlib.Path
) -> Plot | None:
    if not features:
        return None
    items = []
    for number, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        rows = [_row(image if at == 0 else None, maps.values[number]) for at, maps in enumerate(features)]
        items.append(_save(np.concatenate(rows), f"features_{number}", caption, folder))
    names = ", ".join(maps.layer for maps in features)
    return {
        "kind": "gallery",
        "title": "Feature maps",
        "caption": f"An image, and a row for each of the layers {names}: the channels that differ most from"
        " place to place. White is strongest.",
        "items": items,
    }


def _filters_plot(found: Maps | None, folder: pathlib.Path) -> Plot | None:
    if found is None:
        return None
    tiles = [_tile(_rgb(np.rint(255 * picture).astype(np.uint8))) for picture in found.values]
    caption = f"{len(tiles)} filters of {found.layer}"
    return {
        "kind": "gallery",
        "title": "First filters",
        "caption": "What the first layer looks for: grey is no weight, light is for, dark is against."
        " Noise without any shape has learnt little.",
        "items": [_save(_grid(tiles), "filters", caption, folder)],
    }


def _row(image: np.ndarray | None, maps: np.ndarray) -> np.ndarray:
    """Returns a row of tiles: the image or nothing, then the channels of float [height, width, c]."""
    low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    scaled = 255 * (maps - low) / np.where(high > low, high - low, 1)
    tiles = [_blank() if image is None else _tile(_rgb(image))]
    tiles += [_tile(_rgb(one[..., None])) for one in np.moveaxis(np.rint(scaled).astype(np.uint8), -1, 0)]
    return _grid(tiles)


def _grid(tiles: list[np.ndarray]) -> np.ndarray:
    """Returns tiles in rows of `_COLUMNS`."""
    tiles = tiles + [_blank()] * (-len(tiles) % _COLUMNS)
    rows = [np.concatenate(tiles[at : at + _COLUMNS], axis=1) for at in range(0, len(tiles), _COLUMNS)]
    return np.concatenate(rows)


def _blank() -> np.ndarray:
    return np.full((_TILE, _TILE, 3), 255, np.uint8)


def _tile(image: np.ndarray) -> np.ndarray:
    """Returns a picture in the middle of a white tile with a margin."""
    tile, fitted = _blank(), _fit(image, _TILE - 2)
    top, left = (_TILE - fitted.shape[0]) // 2, (_TILE - fitted.shape[1]) // 2
    tile[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return tile


def _fit(image: np.ndarray, side: int) -> np.ndarray:
    """Returns uint8 [height, width, 3] whose longer side has so many pixels."""
    scale = side / max(image.shape[:2])
    size = [max(1, round(length * scale)) for length in image.shape[1::-1]]
    how = PIL.Image.Resampling.NEAREST if scale > 1 else PIL.Image.Resampling.BOX
    return np.asarray(PIL.Image.fromarray(image).resize((size[0], size[1]), how))


def _rgb(image: np.ndarray) -> np.ndarray:
    """Returns uint8 [height, width, 3] of 1 or 3 channels, or the mean of others."""
    if image.shape[-1] == 3:
        return np.ascontiguousarray(image)
    return np.repeat(image.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)


def _save(picture: np.ndarray, name: str, caption: str, folder: pathlib.Path) -> dict[str, str]:
    file = f"explain/{name}.png"
    PIL.Image.fromarray(picture).save(folder / file)
    return {"file": file, "caption": caption}
