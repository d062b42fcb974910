"""Pairs of an image and a mask of class indices.

Layouts: `DIR/images/*` with `DIR/masks/*` (or labels, annotations, SegmentationClass; JPEGImages for
the images), or the same below split folders (`DIR/train/images` …). A mask has its image's name with
any suffix, and may end in `_mask`, `-mask` or `_label`. Split folders within the images' and the masks'
folder (`DIR/images/train/*`) are splits too.

`DIR/classes.txt` or `DIR/labelmap.txt` names the classes, one a line, in the order of their indices;
without it they are class_0, class_1, … as far as the masks go, which all must be read to know. With
colours (`name r g b`, or `name:r,g,b::` as CVAT writes it) masks may be coloured.

How pixels become indices: grey and palette images hold indices, RGB images hold colours of the map. Two
exceptions: without a map, RGB images whose channels are equal are grey; with a map of nothing but greys,
grey images hold such colours. Index 255 is void: not any class, not to be learnt. So is the border of
Pascal VOC in colour (224, 224, 192) where no class has it.
"""

import errno
import functools
import io
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image

from conveyor.components.example_gen.containers import is_plain_png
from conveyor.components.example_gen.readers.files import (
    Listing,
    locate,
    read_image,
    read_limited,
    rejected,
    shuffled,
)
from conveyor.components.example_gen.readers.mask_pairs import Pair, find_pairs
from conveyor.components.example_gen.readers.names import printable
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.sizes import header_sizes
from conveyor.components.example_gen.readers.store import each, is_remote, local_copy
from conveyor.models.void import VOID
from conveyor.pipeline.errors import UserError

USAGE = "masks:DIR, a directory with the folders images and masks"
MAX_PIXELS = 50_000_000  # of a mask
MAX_BYTES = 256 << 20  # of a mask's file
MAX_LIST = 1 << 20  # bytes
_NAMES = ("classes.txt", "labelmap.txt")
_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM", "JPEG")  # JPEG to say what is wrong with it
_COLOURED = re.compile(r"(.*?)[\s:]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*(:.*)?")
_VOC_BORDER = (224, 224, 192)


class _UnusableError(Exception):
    """A mask that cannot be used: a key of `REASONS`, and what exactly."""


class MasksReader:
    """Reads images with masks of class indices, as large as they are.

    Args:
        folder: The directory that holds the images' and the masks' folder, or split folders with both.

    Raises:
        UserError: It is missing, has neither layout, or its list of classes cannot be read.
    """

    annotations: frozenset[str] = frozenset({"mask"})

    def __init__(self, folder: str):
        self.folder, _ = locate(folder, USAGE)
        if not any(pair.mask and pair.image for pair in self._pairs):
            there = [*self._listing.folders(), *sorted(self._listing.files())]
            raise UserError(
                "data.source: there is no image with a mask",
                expected="DIR/images/NAME.jpg and DIR/masks/NAME.png, or both in DIR/train …",
                received=", ".join(map(printable, there[:10])) or "an empty folder",
                where=printable(self.folder),
            )
        if not is_remote(self.folder):
            _ = self._classes

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    @property
    def _list(self) -> str:
        return next((name for name in _NAMES if self._listing.has(name)), "")

    @functools.cached_property
    def _classes(self) -> tuple[list[str], list[tuple[int, ...]]]:
        """Names and colours that the list of classes gives; nothing where there is no list."""
        return _read_names(os.path.join(self.folder, self._list)) if self._list else ([], [])

    @property
    def names(self) -> list[str]:
        return self._classes[0]

    @property
    def colours(self) -> list[tuple[int, ...]]:
        return self._classes[1]

    @functools.cached_property
    def _pairs(self) -> list[Pair]:
        return find_pairs(self._listing)

    def classes(self) -> list[str]:
        return self.names or [f"class_{index}" for index in range(self._highest + 1)]

    @functools.cached_property
    def _highest(self) -> int:
        """The highest index in any mask."""
        masks = [pair.mask for pair in self._pairs if pair.mask and pair.image]
        present = set[int]().union(*each(self._indices_in, masks, self.folder))
        if present == {0, VOID}:
            raise UserError(
                "data.source: the masks hold 0 and 255 only, and 255 is void",
                expected="indices 0, 1, …; or colours, and a list of them",
                where=self.folder,
                fix=f"write two lines into {self.folder}/classes.txt: background 0 0 0, object 255 255 255",
            )
        return max(present - {VOID}, default=0)

    def _indices_in(self, path: str) -> set[int]:
        try:
            indices = self._decode(self._read_mask(path))[1]
        except _UnusableError:
            return set()  # is told when it is read
        return set(np.flatnonzero(np.bincount(indices.ravel())[: VOID + 1]).tolist())

    def splits(self) -> set[str]:
        return {pair.split for pair in self._pairs} - {""}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        names = {name for pair in self._pairs for name in (pair.image, pair.mask)} | {self._list}
        return self._listing.fingerprint(names - {""}, workspace)

    def chunks(self) -> list[Sequence[Pair]]:
        return shuffled(self._pairs, lambda pair: pair.key)

    def read(self, chunk: Sequence[Pair]) -> Iterator[RawExample]:
        yield from each(self._read, chunk, self.folder)

    def _read(self, pair: Pair) -> RawExample:
        if pair.reason:
            return rejected(pair.key, pair.reason, pair.error, pair.split)
        data, reason, error = read_image(self.folder, pair.image)
        if data is None:
            return rejected(pair.key, reason, error, pair.split)
        try:
            mask, size = self._mask(pair.mask, data)
        except _UnusableError as no:
            return rejected(pair.key, no.args[0], f"mask {printable(pair.mask)}: {no.args[1]}", pair.split)
        return RawExample(printable(pair.key), "", pair.split, data, mask=mask, size=size)

    def _read_mask(self, path: str) -> bytes:
        path = os.path.join(self.folder, path)
        try:
            # Without a list of classes every mask is read to know them, and once more with its image.
            return read_limited(path if self.names else local_copy(path), MAX_BYTES)
        except OSError as error:
            reason = "too_large" if error.errno == errno.EFBIG else "unreadable"
            raise _UnusableError(reason, str(error.strerror)) from None

    def _mask(self, path: str, data: bytes) -> tuple[bytes, tuple[int, int]]:
        """Returns a PNG of class indices, for an image's file, and its width and height.

        A mask may be as large as the image is stored or as it is shown; ingestion turns those of the former.
        """
        content = self._read_mask(path)
        image, indices = self._decode(content)
        sizes = header_sizes(data)  # None where it is broken, for which ingestion will reject it
        if sizes and image.size not in sizes:
            (width, height), (right, bottom) = image.size, sizes[1]
            raise _UnusableError("mask_size", f"{width}x{height}, its image {right}x{bottom}")
        self._check(indices)
        return content if _is_stored_as_is(image, content, indices) else _encode(indices), image.size

    def _check(self, indices: np.ndarray) -> None:
        """Refuses indices that are no class."""
        counts = np.bincount(indices.ravel())
        limit = len(self.names) or VOID
        bad = [index for index in np.flatnonzero(counts).tolist() if index >= limit and index != VOID]
        if bad:
            shown = _shown([str(index) for index in bad[:5]], counts[bad])
            raise _UnusableError("mask_index", f"index {shown}; there are {limit} classes")

    def _decode(self, data: bytes) -> tuple[PIL.Image.Image, np.ndarray]:
        """Returns a mask's image and its indices, [height, width], of an integer type."""
        image = _open(data)
        pixels = np.asarray(image)
        if image.mode in ("RGB", "RGBA"):
            return image, self._from_colours(pixels)
        if (
            image.mode in ("L", "1")
            and self.colours
            and all(len(set(colour)) == 1 for colour in self.colours)
        ):
            grey = pixels.astype(np.uint8) * np.uint8(255 if image.mode == "1" else 1)
            return image, self._from_colours(np.stack([grey] * 3, axis=-1))
        if image.mode in ("L", "P", "1"):
            return image, pixels.astype(np.uint8)
        if image.mode.startswith("I"):
            if pixels.min() < 0 or pixels.max() > 65535:
                raise _UnusableError("mask_index", f"indices from {pixels.min()} to {pixels.max()}")
            return image, pixels.astype(np.uint16)
        raise _UnusableError("unsupported_mode", f"mode {image.mode} is neither indices nor colours")

    def _from_colours(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the indices of colours, uint8 [height, width, 3 or 4]; transparency does not matter."""
        red, green, blue = (pixels[..., channel] for channel in range(3))
        if not self.colours:
            if (red == green).all() and (green == blue).all():
                return np.ascontiguousarray(red)
            raise _UnusableError(
                "mask_index", "colours, and classes.txt has no `name r g b` lines to read them by"
            )
        packed = red.astype(np.uint32)
        for channel in (green, blue):  # in place, which is twice as fast
            packed <<= 8
            packed |= channel
        indices = self._index_of[packed]
        if not indices.all():
            unknown, counts = np.unique(packed[indices == 0], return_counts=True)
            names = [f"({code >> 16}, {code >> 8 & 255}, {code & 255})" for code in unknown[:5].tolist()]
            raise _UnusableError("mask_index", f"colour {_shown(names, counts)}; they are of no class")
        return (indices - 1).astype(np.uint8)

    @functools.cached_property
    def _index_of(self) -> np.ndarray:
        """Packed colour -> index + 1; 0 for a colour that is none."""
        table = np.zeros(1 << 24, np.uint16)
        for index, colour in [(VOID, _VOC_BORDER), *enumerate(self.colours)]:
            table[colour[0] << 16 | colour[1] << 8 | colour[2]] = index + 1
        return table

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "_classes": self._classes}


def _read_names(path: str) -> tuple[list[str], list[tuple[int, ...]]]:
    """Returns names of classes, and their colours where the lines have such."""
    try:
        text = read_limited(path, MAX_LIST).decode("utf-8-sig", "replace")
    except OSError as error:
        raise UserError(
            "data.source: the list of classes cannot be read",
            received=str(error.strerror),
            where=printable(path),
        ) from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
    lines = [line for line in lines if not line.startswith(("# ", "#label"))]
    matches = [_COLOURED.fullmatch(line) for line in lines]
    names = [match[1] if match else line for match, line in zip(matches, lines, strict=True)]
    colours = [tuple(map(int, match.group(2, 3, 4))) for match in matches if match]
    wrong = {
        "no name": not all(names),
        f"{len(names)} names, at most {VOID}": not 0 < len(names) <= VOID,
        "colours in some lines, none in others": 0 < len(colours) < len(names),
        "a name twice": len(set(names)) < len(names),
        "a colour twice": len(set(colours)) < len(colours),
        "a colour above 255": any(max(colour) > VOID for colour in colours),
    }
    if any(wrong.values()):
        raise UserError(
            "data.source: the list of classes cannot be read",
            expected="a name a line, or in every line `name r g b` or `name:r,g,b::`",
            received="; ".join(text for text, is_so in wrong.items() if is_so),
            where=path,
        )
    return names, colours


def _open(data: bytes) -> PIL.Image.Image:
    """Returns a decoded mask."""
    if not data:
        raise _UnusableError("empty", "the file has no content")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise _UnusableError(
                "too_large", f"{image.width}x{image.height} is more than {MAX_PIXELS} pixels"
            )
        if image.format == "JPEG":
            raise _UnusableError("unsupported_mode", "JPEG does not keep indices or colours; use PNG")
        image.load()
    except _UnusableError:
        raise
    except Exception as error:  # decoders raise of many kinds on hostile bytes
        message = str(error)
        bomb = isinstance(error, PIL.Image.DecompressionBombError)
        reason = "too_large" if bomb else "truncated" if "truncated" in message.lower() else "unreadable"
        raise _UnusableError(reason, message.split(" <_io")[0] or type(error).__name__) from None
    return image


def _shown(names: list[str], counts: np.ndarray) -> str:
    """Returns the first few of some values, with their number of pixels."""
    shown = ", ".join(f"{name} ({count} pixels)" for name, count in zip(names, counts, strict=False))
    return shown + (f" and {len(counts) - len(names)} more" if len(counts) > len(names) else "")


def _is_stored_as_is(image: PIL.Image.Image, data: bytes, indices: np.ndarray) -> bool:
    # A palette is not: decoders give its colours. Nor is a grey PNG whose grey was mapped to indices.
    if image.format != "PNG" or image.mode != "L" or not np.array_equal(np.asarray(image), indices):
        return False
    try:
        return is_plain_png(data, image.size)
    except (ValueError, IndexError, KeyError):  # Pillow forgave what others would not
        return False


def _encode(indices: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(indices.astype(np.uint8)).save(
        file, "PNG", compress_level=1
    )  # flat areas pack well at any level
    return file.getvalue()
