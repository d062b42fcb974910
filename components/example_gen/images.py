"""What is done to each image before it is stored: check, convert by fixed rules, measure.

An 8-bit grey or RGB JPEG or PNG without oddities is stored as it is. Anything else that can be
read is stored as PNG: other formats, EXIF orientation (applied), palette and CMYK (to RGB),
16-bit (to 8 bits, by the upper byte), 1-bit (to grey), transparency (blended onto white), and
files that not every decoder would read. Of a file with several pictures as phones make it (MPO)
the first counts.

A large JPEG is measured at 1/2, 1/4 or 1/8 of its scale: its decoder reads all of the file, so that
damage is found, but computes fewer pixels.
"""

import dataclasses
import io
import math
import operator
import os
import typing
import warnings

import numpy as np
import PIL.Image

from conveyor.components.example_gen.containers import is_plain_jpeg, is_plain_png
from conveyor.components.example_gen.jpeg import decode_plain, smaller
from conveyor.components.leaks.fingerprint import fingerprint

warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata; what matters is an error
PIL.Image.init()  # all formats, once, and not from several threads
PIL.Image.MAX_IMAGE_PIXELS = None  # `max_pixels` below is the limit, and it is a setting
_MOMENTS = np.stack([np.arange(256), np.arange(256) ** 2], axis=1)  # of each level: first and second
_LUMA = {1: (1.0,), 3: (0.299, 0.587, 0.114)}  # ITU-R BT.601
_LUMA_16 = np.array([19595.0, 38470.0, 7471.0])  # the same in 1/65536, as Pillow has them
_FEW = 64 * 64 * 3  # values
# Pillow knows more, and tells formats by content: some of them, such as EPS, run other programs.
FORMATS: list[str] = [
    name
    for name in ("PNG", "JPEG", "MPO", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
    if name in PIL.Image.OPEN
]
_IS_PLAIN = {"PNG": is_plain_png, "JPEG": is_plain_jpeg, "MPO": is_plain_jpeg}
_WITH_EXIF = ("JPEG", "MPO", "PNG", "TIFF", "WEBP")
_EXTENSIONS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **{f".{name.lower()}": name for name in ("PNG", "BMP", "GIF", "WEBP", "AVIF")},
}
_ORIENTATION = 0x0112  # the EXIF tag, and what makes the image upright
UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


class RejectedError(Exception):
    """An image that cannot be used.

    Args:
        reason: A key of `REASONS`.
        detail: What exactly is wrong with it.
    """

    def __init__(self, reason: str, detail: str):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


@dataclasses.dataclass(frozen=True)
class Measured:
    """An image that can be used.

    Args:
        data: Encoded bytes to store: PNG or JPEG, 8 bits, 1 or 3 channels.
        format: Format of the source file, such as "JPEG".
        mode: Pixel mode of the source file, such as "RGB".
        width: In pixels, upright.
        height: In pixels, upright.
        orientation: EXIF's, which was applied; 1 for none.
        pixel_sum: Sum of the values in [0, 255] of each channel.
        pixel_square_sum: Sum of their squares.
        brightness: Mean luma in [0, 255].
        sharpness: Standard deviation of the luma's Laplacian (4 neighbours), at the measured scale.
        fingerprint: See `conveyor.components.leaks.fingerprint`.
    """

    data: bytes
    format: str
    mode: str
    width: int
    height: int
    orientation: int
    pixel_sum: list[int]
    pixel_square_sum: list[int]
    brightness: float
    sharpness: float
    fingerprint: bytes

    @property
    def channels(self) -> int:
        return len(self.pixel_sum)


def measure(data: bytes, max_pixels: int, side: int = 160) -> Measured:
    """Decodes an image once; returns what is to be stored of it, and facts about it.

    Args:
        data: The file's bytes.
        max_pixels: Largest width times height; checked before pixels are decoded.
        side: Pixels that the longer side of a JPEG measured at a smaller scale has at least.

    Raises:
        RejectedError: The image cannot be used.
    """
    if found := decode_plain(data, max_pixels, side):
        pixels, size = found
        mode = "L" if pixels.ndim == 2 else "RGB"
        return Measured(data, "JPEG", mode, *size, 1, **_facts(pixels, size))
    image = _open(data, max_pixels)
    source_format, source_mode, size = _format_of(image), image.mode, image.size
    late = image.format == "PNG"  # its metadata may come after its pixels
    orientation = 1 if late else _orientation(image)
    try:
        # What is to be converted is stored anew, for which smaller will not do.
        if source_format == "JPEG" and orientation == 1 and source_mode in ("L", "RGB"):
            image.draft(image.mode, smaller(size, side))
        image.load()
        orientation = _orientation(image) if late else orientation
        plain = image.format in _IS_PLAIN and _IS_PLAIN[image.format](data, size)
        if not plain and image.size != size:
            image = _open(data, max_pixels)
            image.load()
        ready = _normalise(image)
    except RejectedError:
        raise
    except Exception as error:  # decoders raise of many kinds on hostile bytes
        message = str(error).lower()
        reason = "truncated" if "truncated" in message or "premature" in message else "unreadable"
        raise RejectedError(reason, message_of(error)) from None
    if ready is not image or not plain:
        data, size = _png(ready), ready.size
    return Measured(data, source_format, source_mode, *size, orientation, **_facts(ready, size))


def contradicts(name: str, source_format: str) -> bool:
    """Whether the extension of a file's name says another format than its content has."""
    return _EXTENSIONS.get(os.path.splitext(name)[1].lower(), source_format) != source_format


def _facts(image: PIL.Image.Image | np.ndarray, size: tuple[int, int]) -> dict[str, typing.Any]:
    """Measures an image that stands for one of a size."""
    if isinstance(image, np.ndarray):
        few = image.ndim == 3 and image.size <= _FEW
        measured = image.shape[0] * image.shape[1]
        totals, grey = _few_moments(image) if few else _moments(PIL.Image.fromarray(image))
    else:
        measured = image.width * image.height
        totals, grey = _moments(image)
    pixels = size[0] * size[1]
    sums, squares = ([total * pixels // measured for total in of_power] for of_power in totals)
    return {
        "pixel_sum": sums,
        "pixel_square_sum": squares,
        "brightness": round(sum(map(operator.mul, sums, _LUMA[len(sums)])) / pixels, 6),
        "sharpness": round(_sharpness(np.asarray(grey)), 4),
        "fingerprint": fingerprint(grey),
    }


def _moments(image: PIL.Image.Image) -> tuple[list[list[int]], PIL.Image.Image]:
    """Returns sums of each channel's values, and of their squares; and the image in grey."""
    counts = image.histogram()
    histogram = np.fromiter(counts, np.int64, len(counts)).reshape(-1, 256)
    return (histogram @ _MOMENTS).T.tolist(), image if image.mode == "L" else image.convert("L")


def _few_moments(pixels: np.ndarray) -> tuple[list[list[int]], np.ndarray]:
    """The same of a small RGB image, for which a histogram takes longer; exact, as sums are below 2^53."""
    levels = pixels.reshape(-1, 3).astype(np.float64)
    sums, squares = np.ones(len(levels)) @ levels, (levels.T @ levels).diagonal()
    luma = ((levels @ _LUMA_16 + 0x8000) / 0x10000).astype(np.uint8)
    return [[*map(int, sums)], [*map(int, squares)]], luma.reshape(pixels.shape[:2])


def _sharpness(grey: np.ndarray) -> float:
    """Source: J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000."""
    height, width = grey.shape
    if min(height, width) < 3:
        return 0.0
    levels = grey.astype(np.int16).ravel()  # rows one after another: neighbours are 1 and `width` away
    edges = 4 * levels[width:-width]
    edges -= levels[: -2 * width]
    edges -= levels[2 * width :]
    edges -= levels[width - 1 : -width - 1]
    edges -= levels[width + 1 : levels.size - width + 1]
    values = edges.reshape(height - 2, width)[:, 1:-1].ravel().astype(np.float64)  # exact, as above
    total, squares = int(values.sum()), int(values @ values)
    return math.sqrt(squares * values.size - total * total) / values.size


def _open(data: bytes, max_pixels: int) -> PIL.Image.Image:
    if not data:
        raise RejectedError("empty", "the file has no content")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
        too_large = image.width * image.height > max_pixels
        frames = 1 if too_large or image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception as error:  # parsers of headers raise of many kinds on hostile bytes
        raise RejectedError("unreadable", message_of(error)) from None
    if too_large:
        raise RejectedError("too_large", f"{image.width}x{image.height} is more than {max_pixels} pixels")
    if frames > 1:
        raise RejectedError("animated", f"{frames} frames")
    return image


def message_of(error: Exception) -> str:
    """Returns a decoder's message, without the memory address in it that differs from run to run."""
    return str(error).partition(" <_io.BytesIO")[0].strip() or type(error).__name__


def _format_of(image: PIL.Image.Image) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _normalise(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an image of mode L or RGB, upright; the same object where nothing is to be done."""
    if (orientation := _orientation(image)) != 1:  # a TIFF was turned when it was loaded
        info, image = image.info, image.transpose(UPRIGHT[orientation])
        image.info.update(info)
    if image.mode.startswith("I") or image.mode == "F":
        return PIL.Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode not in ("1", "P", "CMYK", "YCbCr", "RGBX"):
        raise RejectedError("unsupported_mode", f"mode {image.mode}")
    return image.convert("L" if image.mode == "1" else "RGB")


def _orientation(image: PIL.Image.Image) -> int:
    """Returns EXIF's orientation, 1 to 8; 1 where there is none that means something."""
    try:
        found = image.getexif().get(_ORIENTATION) if image.format in _WITH_EXIF else 1
        return found if found in UPRIGHT else 1
    except Exception:  # of many kinds; an image does not need EXIF
        return 1


def _to_8_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind == "f" or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 65535:
        values = f"{pixels.min()} to {pixels.max()}"
        raise RejectedError("unsupported_mode", f"pixel values outside 16 bits: {values}")
    return (pixels >> 8).astype(np.uint8)


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    grey = image.mode in ("1", "L", "LA", "La")
    layer = image.convert("RGBA")
    white = PIL.Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return PIL.Image.alpha_composite(white, layer).convert("L" if grey else "RGB")


def _png(image: PIL.Image.Image) -> bytes:
    file = io.BytesIO()
    clean = PIL.Image.new(image.mode, image.size)  # without the source's metadata
    clean.paste(image)
    clean.save(file, "PNG")
    return file.getvalue()
