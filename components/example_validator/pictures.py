"""Two images side by side, as a picture of an anomaly."""

import io
import pathlib

import PIL.Image
import PIL.ImageOps

_SIDE = 160  # pixels
_GAP = 8
_BACKGROUND = (128, 128, 128)


def draw_pair(file: pathlib.Path, left: bytes, right: bytes) -> bool:
    """Writes a PNG of two images, each at most 160 pixels wide and high; returns whether it could.

    Args:
        file: Where to.
        left: An encoded image.
        right: Another.
    """
    try:
        images = [_load(data) for data in (left, right)]
    except (OSError, ValueError, PIL.Image.DecompressionBombError):  # readable once, but not as it is
        return False
    size = (sum(image.width for image in images) + _GAP, max(image.height for image in images))
    canvas = PIL.Image.new("RGB", size, _BACKGROUND)
    canvas.paste(images[0], (0, 0))
    canvas.paste(images[1], (images[0].width + _GAP, 0))
    file.parent.mkdir(exist_ok=True)
    canvas.save(file, "PNG")
    return True


def _load(data: bytes) -> PIL.Image.Image:
    with PIL.Image.open(io.BytesIO(data)) as opened:
        opened.draft("RGB", (_SIDE, _SIDE))  # decodes a large JPEG at a fraction of its size
        image = PIL.ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        image = image.point(lambda value: value / 256)  # of 16 bits
    image = image.convert("RGB")
    factor = _SIDE // max(image.size)
    if factor > 1:  # its pixels are to be seen
        return image.resize((image.width * factor, image.height * factor), PIL.Image.Resampling.NEAREST)
    image.thumbnail((_SIDE, _SIDE))
    return image
