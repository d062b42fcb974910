"""The size of an encoded image, from its head: so that nothing is decoded that is too large."""

import io
import struct

import PIL.Image

from conveyor.components.serving.errors import Refused

PIL.Image.MAX_IMAGE_PIXELS = None  # what is too large is a setting
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")  # that TensorFlow decodes
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = 24  # bytes in which width and height are told


def size_of(data: bytes, where: str) -> tuple[int, int]:
    """Returns height and width of an encoded image, as it is stored.

    Args:
        data: The file's bytes.
        where: What to call it in an error.

    Raises:
        Refused: It is no image.
    """
    if data[:8] == _PNG and len(data) >= _PNG_HEAD:  # a tenth of the time
        width, height = struct.unpack(">II", data[16:24])
    else:
        try:
            with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
        except Exception:  # readers raise all sorts of errors on hostile bytes
            raise Refused(400, f"{where} is no image: expected bytes of a {_told()} file") from None
    if not width or not height:
        raise Refused(400, f"{where} is no image: it has no pixels")
    return height, width


def _told() -> str:
    return f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
