"""What is done to each image before it is stored: check, convert by fixed rules, measure.

An 8-bit grey or RGB JPEG or PNG without oddities is stored as it is. Anything else that can be
read is stored as PNG: other formats, EXIF orientation (applied), palette and CMYK (to RGB),
16-bit (to 8 bits, by the upper byte), 1-bit (to grey), transparency (blended onto white), and
files that not every decoder would read. Of a file with several pictures as phones make it (MPO)
the first counts.
"""

import dataclasses
import io
import typing
import warnings

import numpy as np
import PIL.Image

from conveyor.components.example_gen.containers import is_plain_jpeg, is_plain_png

warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata; what matters is an error
PIL.Image.init()  # all formats, once, and not from several threads
PIL.Image.MAX_IMAGE_PIXELS = None  # `max_pixels` below is the limit, and it is a setting
_LEVELS = np.arange(256, dtype=np.int64)
_LUMA = {1: (1.0,), 3: (0.299, 0.587, 0.114)}  # ITU-R BT.601
# Pillow knows more, and tells formats by content: some of them, such as EPS, run other programs.
_FORMATS: list[str] = [
    name
    for name in ("PNG", "JPEG", "MPO", "BMP", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
    if name in PIL.Image.OPEN
]
_IS_PLAIN = {"PNG": is_plain_png, "JPEG": is_plain_jpeg, "MPO": is_plain_jpeg}
_WITH_EXIF = ("JPEG", "MPO", "PNG", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # the EXIF tag, and what makes the image upright
_UPRIGHT = {
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
        reason: empty, unreadable, truncated, too_large or animated.
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
        width: In pixels.
        height: In pixels.
        pixel_sum: Sum of the values in [0, 255] of each channel.
        pixel_square_sum: Sum of their squares.
        brightness: Mean luma in [0, 255].
    """

    data: bytes
    format: str
    mode: str
    width: int
    height: int
    pixel_sum: list[int]
    pixel_square_sum: list[int]
    brightness: float

    @property
    def channels(self) -> int:
        return len(self.pixel_sum)


def measure(data: bytes, max_pixels: int) -> Measured:
    """Decodes an image once; returns what is to be stored of it, and facts about it.

    Args:
        data: The file's bytes.
        max_pixels: Largest width times height; checked before pixels are decoded.

    Raises:
        RejectedError: The image cannot be used.
    """
    image = _open(data, max_pixels)
    source_format, source_mode = "JPEG" if image.format == "MPO" else str(image.format), image.mode
    try:
        image.load()
        plain = image.format in _IS_PLAIN and _IS_PLAIN[image.format](data, image.size)
        ready = _normalise(image)
    except Exception as error:  # decoders raise of many kinds on hostile bytes
        message = str(error).lower()
        reason = "truncated" if "truncated" in message or "premature" in message else "unreadable"
        raise RejectedError(reason, str(error) or type(error).__name__) from None
    if ready is not image or not plain:
        data = _png(ready)
    histogram = np.asarray(ready.histogram(), np.int64).reshape(-1, 256)
    sums = histogram @ _LEVELS
    luma = float(sums @ _LUMA[len(sums)]) / (ready.width * ready.height)
    squares = histogram @ (_LEVELS * _LEVELS)
    return Measured(
        data, source_format, source_mode, *ready.size, sums.tolist(), squares.tolist(), round(luma, 6)
    )


def _open(data: bytes, max_pixels: int) -> PIL.Image.Image:
    if not data:
        raise RejectedError("empty", "the file has no content")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=_FORMATS)
        too_large = image.width * image.height > max_pixels
        frames = 1 if too_large or image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception as error:  # parsers of headers raise of many kinds on hostile bytes
        raise RejectedError("unreadable", str(error).replace(_address(error), "").strip()) from None
    if too_large:
        raise RejectedError("too_large", f"{image.width}x{image.height} is more than {max_pixels} pixels")
    if frames > 1:
        raise RejectedError("animated", f"{frames} frames")
    return image


def _address(error: Exception) -> str:
    """Returns the memory address in Pillow's message, which differs from run to run."""
    _, opening, rest = str(error).partition(" <_io.BytesIO")
    return opening + rest


def _normalise(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns an image of mode L or RGB, upright; the same object where nothing is to be done."""
    transposition = _UPRIGHT.get(_orientation(image))
    if transposition is not None:
        info, image = image.info, image.transpose(transposition)
        image.info.update(info)
    if image.mode.startswith("I") or image.mode == "F":
        return PIL.Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        return _on_white(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _orientation(image: PIL.Image.Image) -> typing.Any:
    try:
        return image.getexif().get(_ORIENTATION) if image.format in _WITH_EXIF else None
    except Exception:  # of many kinds; an image does not need EXIF
        return None


def _to_8_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind == "f" or pixels.min(initial=0) < 0 or pixels.max(initial=0) > 65535:
        raise ValueError(f"pixel values outside 16 bits: {pixels.min()} to {pixels.max()}")
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
