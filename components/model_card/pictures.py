"""Pictures as data: URIs, at a size that a page can carry."""

import base64
import io
import pathlib
import typing

import PIL.Image

_MAX_SIDE = 256  # pixels; twice that is the width of what shows two side by side
_SMALL = 64  # pixels; up to this side a picture is kept lossless and is enlarged with its pixels visible
_SHOWN_SIDE = 128  # pixels, of an enlarged picture
_MAX_BYTES = 700_000  # of all pictures of an album


class Album:
    """Loads the pictures of a part of the page; those that are asked for first get the room there is.

    Args:
        limit: Pictures in a gallery, at the most.
        max_bytes: Encoded bytes of all galleries together, at the most.
    """

    def __init__(self, limit: int, max_bytes: int = _MAX_BYTES):
        self._limit = limit
        self._left = max_bytes

    def load(
        self, items: list[dict[str, typing.Any]], folder: pathlib.Path
    ) -> tuple[list[dict[str, typing.Any]], int]:
        """Loads a gallery.

        Args:
            items: Dicts with `file` (relative to `folder`) and `caption`.
            folder: No file outside of it is read.

        Returns:
            Pictures (`src`, `caption`, `width` in CSS pixels, `small`; `src` is "" for a picture
            that cannot be read), and the number of items that found no room.
        """
        pictures: list[dict[str, typing.Any]] = []
        for item in items[: self._limit]:
            picture = _load(folder, str(item["file"]))
            if len(picture["src"]) > self._left:
                break
            self._left -= len(picture["src"])
            pictures.append({**picture, "caption": str(item.get("caption") or "")})
        return pictures, len(items) - len(pictures)


def _load(folder: pathlib.Path, file: str) -> dict[str, typing.Any]:
    try:
        path = (folder / file).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise PermissionError(file)
        with PIL.Image.open(path) as image:
            # draws on the file's own ability to decode at a smaller scale, where it has one
            width = _MAX_SIDE * (2 if image.width >= 2 * image.height else 1)
            image.thumbnail((width, _MAX_SIDE), PIL.Image.Resampling.LANCZOS)
            return _encode(_eight_bits(image))
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return {"src": "", "width": _SHOWN_SIDE, "small": False}


def _eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Returns the picture in grey or RGB."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 257).convert("L")
    return image.convert("L" if image.mode in ("1", "L", "LA", "I", "F") else "RGB")


def _encode(image: PIL.Image.Image) -> dict[str, typing.Any]:
    """Encodes anew, which leaves out whatever else the file says (place, camera, comments)."""
    image.info = {}
    side = max(image.size)
    small = side <= _SMALL
    name, options = ("PNG", {}) if small else ("JPEG", {"quality": 85})
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    width = image.width * max(1, _SHOWN_SIDE // side) if small else image.width
    return {"src": f"data:image/{name.lower()};base64,{text}", "width": width, "small": small}
