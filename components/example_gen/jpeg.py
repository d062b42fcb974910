"""The short way for ordinary JPEG files, which most photographs are: decoded without Pillow's parser.

Pillow reads headers in Python, which for small files takes longer than their pixels. It is asked whenever
a file is not quite ordinary, and says what is wrong with it.
"""

import numpy as np
import simplejpeg

from conveyor.components.example_gen.containers import is_plain_jpeg

_KINDS = {"Gray": "GRAY", "YCbCr": "RGB"}
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/"  # may say that the image is to be turned


def decode_plain(data: bytes, max_pixels: int, side: int) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Decodes a JPEG that can be stored as it is.

    Args:
        data: The file's bytes.
        max_pixels: Largest width times height.
        side: See `smaller`.

    Returns:
        Pixels, [height, width] of grey or [height, width, 3] of RGB, at a smaller scale if it is large; and
        the image's width and height. None where Pillow must be asked.
    """
    if data[:2] != b"\xff\xd8" or _EXIF in data or _XMP in data:
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        size = width, height
        if space not in _KINDS or width * height > max_pixels or not is_plain_jpeg(data, size):
            return None
        least_width, least_height = smaller(size, side)
        pixels = simplejpeg.decode_jpeg(data, _KINDS[space], min_width=least_width, min_height=least_height)
    except ValueError:
        return None
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels, size


def smaller(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Returns the size at the smallest of the scales 1, 1/2, 1/4 and 1/8 that leaves a long enough side.

    Args:
        size: Width and height in pixels.
        side: What the longer side must have left, if it has it.
    """
    scale = 1 << min(3, max(0, (max(size) // side).bit_length() - 1))
    return -(-size[0] // scale), -(-size[1] // scale)
