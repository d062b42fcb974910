"""A sheet of augmented training examples for the model card."""

import colorsys
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw

from conveyor.models.augmentation.augmentation import Augmentation
from conveyor.models.void import VOID

_EXAMPLES = 8
_VERSIONS = 3
_SIDE = 128  # pixels of the longer side of an image on the sheet
_GAP = 4  # pixels between two images
_GOLDEN = 0.618033988749895  # of the colour circle from class to class, so that neighbours differ
_Batch = dict[str, typing.Any]


def preview(
    batch: _Batch, augmentation: Augmentation, folder: pathlib.Path, classes: Sequence[str]
) -> dict[str, typing.Any]:
    """Draws the first training examples beside what augmentation makes of them.

    Args:
        batch: As `Augmentation` takes it, of NumPy arrays; a whole batch, as some layers mix its images.
        augmentation: What is drawn.
        folder: Where the pictures go, into `augmentation/`; the artifact.
        classes: Names, in label order; may be empty.

    Returns:
        A plot of the kind "gallery".
    """
    versions = [batch, *(_arrays(augmentation(batch, np.int64(number))) for number in range(_VERSIONS))]
    (folder / "augmentation").mkdir(exist_ok=True)
    items = []
    for row in range(min(_EXAMPLES, len(batch["images"]))):
        file = f"augmentation/{row:02d}.png"
        _strip([_draw(_one(version, row)) for version in versions]).save(folder / file)
        captions = [_label(_one(version, row), classes) for version in versions]
        items.append(
            {"file": file, "caption": " | ".join(captions if len(set(captions)) > 1 else captions[:1])}
        )
    return {
        "kind": "gallery",
        "title": "Augmentation",
        "caption": f"Training examples, and on their right {_VERSIONS} versions that training may see.",
        "items": items,
    }


def _arrays(batch: _Batch) -> _Batch:
    return {
        key: _arrays(value) if isinstance(value, dict) else np.asarray(value) for key, value in batch.items()
    }


def _one(batch: _Batch, row: int) -> _Batch:
    return {key: _one(value, row) if isinstance(value, dict) else value[row] for key, value in batch.items()}


def _label(example: _Batch, classes: Sequence[str]) -> str:
    """Returns the classes of an example with a share of at least a percent, such as "cat 61%, dog 39%"."""
    if "labels" not in example or not len(classes):
        return ""
    shares = {name: round(100 * float(share)) for name, share in zip(classes, example["labels"], strict=True)}
    shares = {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0}
    return ", ".join(name if share >= 100 else f"{name} {share}%" for name, share in shares.items())


def _draw(example: _Batch) -> PIL.Image.Image:
    """Returns an image with its mask and boxes."""
    pixels = np.clip(np.rint(example["images"]), 0, 255).astype(np.uint8)
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels
    if "segmentation_masks" in example:
        pixels = _blend(pixels, example["segmentation_masks"][..., 0])
    image = PIL.Image.fromarray(np.ascontiguousarray(pixels))
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    resampling = PIL.Image.Resampling.NEAREST if scale > 1 else PIL.Image.Resampling.BICUBIC
    image = image.resize(size, resampling)
    if "bounding_boxes" in example:
        _outline(image, scale, example["bounding_boxes"])
    return image


def _blend(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tints pixels with the colour of their class; void ones stay as they are."""
    colours = np.array([_colour(index) for index in range(256)])
    tinted = np.rint((pixels.astype(float) + colours[np.clip(mask, 0, VOID)]) / 2).astype(np.uint8)
    return np.where(mask[..., np.newaxis] == VOID, pixels, tinted)


def _outline(image: PIL.Image.Image, scale: float, found: _Batch) -> None:
    pen = PIL.ImageDraw.Draw(image)
    for (x0, y0, x1, y1), label in zip(found["boxes"] * scale, found["labels"], strict=True):
        if label >= 0:
            right, bottom = max(x0, x1 - 1), max(y0, y1 - 1)
            pen.rectangle((x0, y0, right, bottom), outline=_colour(int(label)), width=2)


def _colour(index: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.9, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _strip(images: list[PIL.Image.Image]) -> PIL.Image.Image:
    """Returns images of one size side by side."""
    width, height = images[0].size
    strip = PIL.Image.new("RGB", (len(images) * (width + _GAP) - _GAP, height), "white")
    for place, image in enumerate(images):
        strip.paste(image, (place * (width + _GAP), 0))
    return strip
