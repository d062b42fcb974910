"""The size of an image in its two frames, from its header alone."""

import io

import PIL.Image

_ORIENTATION = 0x0112  # the EXIF tag
_ON_SIDE = (5, 6, 7, 8)


def header_sizes(data: bytes) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Returns width and height of an image as it is stored, and as EXIF says that it is to be shown.

    Args:
        data: The encoded image.

    Returns:
        The two sizes in pixels; None where the header is broken, which ingestion will tell.
    """
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            stored = image.size
            on_side = image.getexif().get(_ORIENTATION) in _ON_SIDE
    except Exception:  # decoders raise of many kinds on hostile bytes
        return None
    return stored, (stored[1], stored[0]) if on_side else stored
