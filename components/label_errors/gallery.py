"""Pictures of suspects, and the anomaly that shows them."""

import io
import pathlib
import typing
from collections.abc import Iterable, Sequence

import PIL.Image
import PIL.ImageDraw

SHOWN = 24
"""Most pictures of an anomaly."""
NAMED = 1000
"""Most examples that an anomaly names."""
_SIDE = 224  # pixels of a picture, at most
_RED = (230, 30, 30)

Box = tuple[float, float, float, float]
Anomaly = dict[str, typing.Any]


def decode(data: bytes) -> PIL.Image.Image:
    """Returns a stored image as RGB."""
    with PIL.Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
        return image.convert("RGB")


def enlarge(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an image at the size of a picture; of a small one the pixels stay visible."""
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    method = PIL.Image.Resampling.NEAREST if scale > 1 else PIL.Image.Resampling.BICUBIC
    return image.resize(size, method)


def around(image: PIL.Image.Image, box: Box) -> PIL.Image.Image:
    """Returns a picture of a box and its surroundings, with the box drawn in.

    Args:
        image: The whole image.
        box: x1, y1, x2, y2 in pixels.
    """
    x1, y1, x2, y2 = box
    margin = max(x2 - x1, y2 - y1, 8) / 2
    left, top = max(0, int(x1 - margin)), max(0, int(y1 - margin))
    right, bottom = min(image.width, int(x2 + margin) + 1), min(image.height, int(y2 + margin) + 1)
    view = enlarge(image.crop((left, top, right, bottom)))
    scale = view.width / (right - left)
    corners = [(x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale - 1, (y2 - top) * scale - 1]
    corners[2:] = max(corners[0], corners[2]), max(corners[1], corners[3])
    PIL.ImageDraw.Draw(view).rectangle(corners, outline=_RED, width=2)
    return view


def anomaly(
    kind: str,
    short: str,
    long: str,
    keys: Iterable[str],
    pictures: pathlib.Path,
    shown: Sequence[tuple[PIL.Image.Image, str]],
) -> Anomaly:
    """Writes the pictures; returns the anomaly as in `Anomalies`.

    Args:
        kind: "label_error" and the like; names of pictures begin with it.
        short: In a few words.
        long: In sentences.
        keys: Of the suspects, worst first; may repeat.
        pictures: Folder for the pictures; made if need be.
        shown: Pictures with captions.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    files = [f"{kind}_{number:03d}.png" for number in range(len(shown))]
    for file, (image, _) in zip(files, shown, strict=True):
        image.save(pictures / file)
    return {
        "kind": kind,
        "severity": "warning",
        "split": "",
        "short": short,
        "long": long,
        "examples": list(dict.fromkeys(keys))[:NAMED],
        "pictures": [
            {"file": f"{pictures.name}/{file}", "caption": caption}
            for file, (_, caption) in zip(files, shown, strict=True)
        ],
    }
