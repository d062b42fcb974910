"""The short way for ordinary JPEG files, which most photographs are: decoded without Pillow's parser.

Pillow reads headers in Python, which for small files takes longer than their pixels. It is asked whenever
a file is not quite ordinary, and says what is wrong with it.
"""

import PIL.Image
import simplejpeg

from conveyor.components.example_gen.containers import is_plain_jpeg

_KINDS = {"Gray": ("GRAY", "L"), "YCbCr": ("RGB", "RGB")}
_TURNED = (b"Exif\0\0", b"http://ns.adobe.com/xap/")  # may say that the image is to be turned


def decode_plain(data: bytes, max_pixels: int, side: int) -> tuple[PIL.Image.Image, tuple[int, int]] | None:
    """Decodes a JPEG that can be stored as it is.

    Args:
        data: The file's bytes.
        max_pixels: Largest width times height.
        side: See `smaller`.

    Returns:
        The image, grey or RGB, at a smaller scale if it is large; and its width and height. None where
        Pillow must be asked.
    """
    if data[:2] != b"\xff\xd8" or any(mark in data for mark in _TURNED):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        size = width, height
        if space not in _KINDS or width * height > max_pixels or not is_plain_jpeg(data, size):
            return None
        name, mode = _KINDS[space]
        least_width, least_height = smaller(size, side)
        pixels = simplejpeg.decode_jpeg(data, name, min_width=least_width, min_height=least_height)
    except ValueError:
        return None
    return PIL.Image.fromarray(pixels[..., 0] if mode == "L" else pixels), size


def smaller(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Returns the size at the smallest of the scales 1, 1/2, 1/4 and 1/8 that leaves a long enough side.

    Args:
        size: Width and height in pixels.
        side: What the longer side must have left, if it has it.
    """
    scale = 1 << min(3, max(0, (max(size) // side).bit_length() - 1))
    return -(-size[0] // scale), -(-size[1] // scale)
