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

import dataclasses
import functools
import io
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image

from conveyor.components.example_gen.containers import is_plain_png
from conveyor.components.example_gen.readers.files import Listing, absolute, is_image, printable, shuffled
from conveyor.components.example_gen.readers.folder import SPLITS
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.fingerprint import fingerprint_files

VOID = 255
MAX_PIXELS = 50_000_000  # of a mask
MAX_BYTES = 256 << 20  # of a mask's file
_IMAGES = ("images", "JPEGImages")
_MASKS = ("masks", "labels", "annotations", "SegmentationClass")
_ENDINGS = ("_mask", "-mask", "_label")
_NAMES = ("classes.txt", "labelmap.txt")
_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM", "JPEG")  # JPEG to say what is wrong with it
_COLOURED = re.compile(r"(.*?)[\s:]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*(:.*)?")
_VOC_BORDER = (224, 224, 192)


class _UnusableError(Exception):
    """A mask that cannot be used: a key of `REASONS`, and what exactly."""


@dataclasses.dataclass(frozen=True)
class _Pair:
    """What the listing knows: a pair, or what it lacks."""

    image: str
    mask: str
    split: str
    reason: str = ""
    error: str = ""

    @property
    def key(self) -> str:
        return self.image or self.mask


class MasksReader:
    """Reads images with masks of class indices, as large as they are.

    Args:
        folder: The directory that holds the images' and the masks' folder, or split folders with both.

    Raises:
        UserError: It is missing, has neither layout, or its list of classes cannot be read.
    """

    annotations: frozenset[str] = frozenset({"mask"})

    def __init__(self, folder: str):
        self.folder = absolute(folder, "masks:DIR, a directory with the folders images and masks")
        self._list = next((name for name in _NAMES if os.path.isfile(os.path.join(self.folder, name))), "")
        self.names: list[str] = []
        self.colours: list[tuple[int, ...]] = []
        if self._list:
            self.names, self.colours = _read_names(os.path.join(self.folder, self._list))
        if not any(pair.mask and pair.image for pair in self._pairs):
            raise UserError(
                "data.source: there is no image with a mask",
                expected=f"{folder}/images/NAME.jpg and {folder}/masks/NAME.png, or both in {folder}/train …",
                received=", ".join(map(printable, sorted(os.listdir(self.folder))[:10])) or "an empty folder",
                where=self.folder,
            )

    @functools.cached_property
    def _pairs(self) -> list[_Pair]:
        listing = Listing(self.folder)
        found: list[_Pair] = []
        for root, split in _roots(listing):
            images, masks = (
                _listed(listing, _folder_of(listing, root, names)) for names in (_IMAGES, _MASKS)
            )
            found += _paired(images, masks, split)
        return found

    def classes(self) -> list[str]:
        return self.names or [f"class_{index}" for index in range(self._highest + 1)]

    @functools.cached_property
    def _highest(self) -> int:
        """The highest index in any mask."""
        present: set[int] = set()
        for pair in self._pairs:
            if pair.mask and pair.image:
                try:
                    indices = self._decode(_read(os.path.join(self.folder, pair.mask), MAX_BYTES))[1]
                except (_UnusableError, OSError):
                    continue  # is reported when it is read
                present |= set(np.flatnonzero(np.bincount(indices.ravel())[: VOID + 1]).tolist())
        if present == {0, VOID}:
            raise UserError(
                "data.source: the masks hold 0 and 255 only, and 255 is void",
                expected="indices 0, 1, …; or colours, and a list of them",
                where=self.folder,
                fix=f"write two lines into {self.folder}/classes.txt: background 0 0 0, object 255 255 255",
            )
        return max(present - {VOID}, default=0)

    def splits(self) -> set[str]:
        return {pair.split for pair in self._pairs} - {""}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        names = {name for pair in self._pairs for name in (pair.image, pair.mask)} | {self._list}
        return fingerprint_files(self.folder, sorted(names - {""}), workspace)

    def chunks(self) -> list[Sequence[_Pair]]:
        return shuffled(self._pairs, lambda pair: pair.key)

    def read(self, chunk: Sequence[_Pair]) -> Iterator[RawExample]:
        for pair in chunk:
            key, split = printable(pair.key), pair.split
            try:
                if pair.reason:
                    raise _UnusableError(pair.reason, pair.error)
                data = _read(os.path.join(self.folder, pair.image))
                mask = self._mask(pair.mask, _size(data))
            except _UnusableError as no:
                yield RawExample(key, "", split, None, no.args[1], no.args[0])
            except OSError as error:
                yield RawExample(key, "", split, None, str(error.strerror))
            else:
                yield RawExample(key, "", split, data, mask=mask)

    def _mask(self, path: str, size: tuple[int, int] | None) -> bytes:
        """Returns a PNG of class indices, for an image of a size (None: unknown, it will be rejected)."""
        try:
            data = _read(os.path.join(self.folder, path), MAX_BYTES)
            image, indices = self._decode(data)
            if size and image.size != size:
                (width, height), (right, bottom) = image.size, size
                raise _UnusableError("mask_size", f"{width}x{height}, its image {right}x{bottom}")
            self._check(indices)
        except _UnusableError as no:
            raise _UnusableError(no.args[0], f"mask {printable(path)}: {no.args[1]}") from None
        return data if _is_stored_as_is(image, data, indices) else _encode(indices)

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
        return {"folder": self.folder, "names": self.names, "colours": self.colours}


def _read_names(path: str) -> tuple[list[str], list[tuple[int, ...]]]:
    """Returns names of classes, and their colours where the lines have such."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line.strip() for line in file.read(1 << 20).rstrip().splitlines()]
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


def _roots(listing: Listing) -> list[tuple[str, str]]:
    """Returns each directory that holds images and masks, with its split."""
    inner = [name for name in listing.folders() if _folder_of(listing, name, _IMAGES)]
    flat = bool(_folder_of(listing, "", _IMAGES))
    if odd := [name for name in inner if flat or name.lower() not in SPLITS]:
        raise UserError(
            "data.source: some folders with images are no splits",
            expected="images and masks in the folder, or in split folders such as train and val, not in both",
            received=", ".join(map(printable, odd)),
            where=listing.root,
        )
    return [("", "")] if flat else [(name, SPLITS[name.lower()]) for name in inner]


def _folder_of(listing: Listing, root: str, names: Sequence[str]) -> str:
    """Returns the first of some folders in a folder; "" for none."""
    return next((os.path.join(root, name) for name in names if name in listing.folders(root)), "")


def _listed(listing: Listing, folder: str) -> dict[str, str]:
    """Returns path -> path below a folder without suffix, of all pictures there."""
    paths = [path for path in listing.walk(folder) if is_image(path)] if folder else []
    return {path: os.path.relpath(os.path.splitext(path)[0], folder) for path in paths}


def _paired(images: dict[str, str], masks: dict[str, str], split: str) -> Iterator[_Pair]:
    """Yields images with their masks, and what is left over of either."""
    stems: dict[str, str] = {}
    for image, stem in images.items():
        if stems.setdefault(stem, image) != image:
            error = f"{printable(stems[stem])} has the same name but for the suffix"
            yield _Pair(image, "", split, "duplicate_file", error)
    in_splits = {stem.split(os.sep)[0].lower() for stem in stems} <= SPLITS.keys()
    chosen: dict[str, str] = {}
    left = dict.fromkeys(masks)
    for exact in (True, False):  # a mask of the very name goes before one with an ending
        for mask in list(left):
            image_stem = masks[mask] if exact else _without_ending(masks[mask])
            if image_stem in stems and image_stem not in chosen:
                chosen[image_stem] = mask
                del left[mask]
    for stem, image in stems.items():
        own = SPLITS[stem.split(os.sep)[0].lower()] if in_splits and os.sep in stem else split
        reason = "" if stem in chosen else "missing_annotation"
        yield _Pair(
            image, chosen.get(stem, ""), own, reason, "there is no mask of its name" if reason else ""
        )
    for mask in left:
        rival = chosen.get(masks[mask], chosen.get(_without_ending(masks[mask]), ""))
        reason = "duplicate_file" if rival else "missing_image"
        error = f"its image has the mask {printable(rival)}" if rival else "there is no image of its name"
        yield _Pair("", mask, split, reason, error)


def _without_ending(stem: str) -> str:
    return next((stem.removesuffix(ending) for ending in _ENDINGS if stem.endswith(ending)), stem)


def _read(path: str, limit: int = 0) -> bytes:
    with open(path, "rb", buffering=0) as file:
        if limit and (size := os.fstat(file.fileno()).st_size) > limit:
            raise _UnusableError("too_large", f"{size} bytes, at most {limit}")
        return file.read()


def _size(data: bytes) -> tuple[int, int] | None:
    """Returns width and height in the header of an image; None where there is none to be read."""
    try:
        return PIL.Image.open(io.BytesIO(data)).size
    except Exception:  # of many kinds on hostile bytes; ingestion says what is wrong with the image
        return None


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
