"""Arrays in one NPZ file.

Names: `x` and `y`, or `images` and `labels`; of splits `x_train` and `y_train`, `x_test` and `y_test`
(as keras.datasets saves them), or `train_images` and `train_labels`; val too. Optionally `classes`: names.

Images are [n, height, width] or [n, height, width, channels] of 1, 3 or 4 channels. How values become
8 bits, by one rule for the whole file: uint8 stays; bool becomes 0 and 255; uint16 gives its upper
byte; floats that are all in [0, 1] are multiplied by 255, other floats and integers must be in
[0, 255]; floats are rounded. An image with values that are no numbers is set aside.

Labels are [n] or [n, 1]: integers, floats that are integers, or text.

Images are read in order, a few at a time, so that memory does not depend on how many there are.
"""

import contextlib
import dataclasses
import functools
import io
import math
import os
import pathlib
import struct
import tokenize
import typing
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import PIL.Image
from absl import logging

from conveyor.components.example_gen.readers.files import Listing, locate
from conveyor.components.example_gen.readers.names import SPLITS, printable
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import cut
from conveyor.components.example_gen.readers.store import is_remote, local_copy
from conveyor.pipeline.errors import UserError, did_you_mean

# A small file may claim to unpack to more than any disk holds.
MAX_BYTES = 1 << 40  # of all arrays
MAX_LABEL_BYTES = 1 << 30  # of the labels, which are read whole
MAX_IMAGE_VALUES = 200_000_000
_BLOCK = 16 << 20  # bytes read at a time
_PLAIN = (("x", "y"), ("images", "labels"))
_USAGE = "npz:FILE.npz with the arrays x and y (or images and labels, or x_train and y_train …)"
# What zipfile, zlib and NumPy raise on hostile bytes.
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, SyntaxError, MemoryError, OverflowError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)


@dataclasses.dataclass(frozen=True)
class _Array:
    """An array in the file, as its header says: `start` is where its values begin."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    start: int

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class NpzReader:
    """Reads images and labels from an NPZ file. Objects in it are never unpickled.

    Args:
        file: Path of the file.

    Raises:
        UserError: It is missing, damaged, or holds no images with labels.
    """

    annotations: frozenset[str] = frozenset({"label"})

    def __init__(self, file: str):
        self.file, is_folder = locate(file, _USAGE)
        if is_folder:
            raise self._error("this is no file")
        if not is_remote(self.file):
            _ = self.names

    @functools.cached_property
    def _path(self) -> str:
        return local_copy(self.file)

    @functools.cached_property
    def _held(self) -> set[str]:
        """The names of all arrays in the file."""
        with self._refusing_damage(), zipfile.ZipFile(self._path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}

    @functools.cached_property
    def _arrays(self) -> dict[str, _Array]:
        """The arrays that are read."""
        names = {name for pair in self._pairs.values() for name in pair} | {"classes"} & self._held
        with self._refusing_damage(), zipfile.ZipFile(self._path) as archive:
            arrays = {name: self._describe(archive, name) for name in sorted(names)}
        self._check_sizes(arrays)
        if unused := self._held - names:
            logging.info("arrays in %s that are not read: %s", self.file, ", ".join(sorted(unused)))
        return arrays

    @functools.cached_property
    def names(self) -> list[str]:
        """The names of the classes that the file gives; none where it gives none."""
        return self._texts("classes", []) if "classes" in self._arrays else []

    @contextlib.contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise self._error("the file cannot be read", str(error)[:200] or type(error).__name__) from None

    def _error(self, what: str, received: str = "", fix: str = "") -> UserError:
        return UserError(
            f"data.source: {what}", expected=_USAGE, received=received, where=printable(self.file), fix=fix
        )

    @functools.cached_property
    def _pairs(self) -> dict[str, tuple[str, str]]:
        """Split -> names of its images and labels."""
        names = self._held
        wanted = {"": _PLAIN}
        for word in SPLITS:
            wanted[word] = (f"x_{word}", f"y_{word}"), (f"{word}_images", f"{word}_labels")
        found: dict[str, tuple[str, str]] = {}
        for word, pairs in wanted.items():
            for images, labels in pairs:
                if len({images, labels} & names) == 1:
                    lack, there = sorted({images, labels}, key=names.__contains__)
                    raise self._error(f"there is {there!r} but no {lack!r}", fix=did_you_mean(lack, names))
                if images in names:
                    if SPLITS.get(word, "") in found:
                        raise self._error(f"two arrays of images for one split: {images!r} is the second")
                    found[SPLITS.get(word, "")] = images, labels
        if not found or ("" in found and len(found) > 1):
            what = "x and y beside arrays of splits" if found else "there are no arrays of images and labels"
            raise self._error(what, ", ".join(sorted(names))[:300] or "no arrays")
        return found

    def _describe(self, archive: zipfile.ZipFile, name: str) -> _Array:
        with archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            reads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in reads:
                raise self._error(f"{name!r} is of an unknown version {version} of NPY")
            shape, in_fortran_order, dtype = reads[version](file)
            array = _Array(name, shape, dtype, file.tell())
        if dtype.hasobject:
            fix = "save an array of numbers, or of fixed-width text: np.asarray(labels, dtype=str)"
            raise self._error(f"{name!r} holds Python objects, which are not safe to load", str(dtype), fix)
        if in_fortran_order and len(shape) > 1:
            raise self._error(f"{name!r} is in Fortran order", fix="save np.ascontiguousarray of it")
        held, claimed = (
            archive.getinfo(f"{name}.npy").file_size,
            array.start + math.prod(shape) * dtype.itemsize,
        )
        if held != claimed:
            raise self._error(f"{name!r} is not as long as its header says", f"{held} bytes, not {claimed}")
        return array

    def _check_sizes(self, arrays: dict[str, _Array]) -> None:
        sizes = {name: math.prod(array.shape) * array.dtype.itemsize for name, array in arrays.items()}
        if sum(sizes.values()) > MAX_BYTES:
            raise self._error("the arrays are too large", f"{sum(sizes.values())} bytes, at most {MAX_BYTES}")
        whole = {labels for _, labels in self._pairs.values()} | {"classes"} & sizes.keys()
        for name in whole:
            if sizes[name] > MAX_LABEL_BYTES:
                raise self._error(f"{name!r} is too large", f"{sizes[name]} bytes, at most {MAX_LABEL_BYTES}")
            if arrays[name].dtype.kind not in "biufUS":
                raise self._error(f"{name!r} is neither numbers nor text", str(arrays[name].dtype))
        for images, labels in self._pairs.values():
            self._check_pair(arrays[images], arrays[labels])
        if not sum(arrays[images].shape[0] for images, _ in self._pairs.values()):
            raise self._error("the arrays are empty")

    def _check_pair(self, images: _Array, labels: _Array) -> None:
        shape = images.shape
        fine = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
        if not fine or not 0 < math.prod(shape[1:]) <= MAX_IMAGE_VALUES or images.dtype.kind not in "biuf":
            first = len(shape) == 4 and shape[1] in (1, 3, 4)
            fix = f"put channels last: np.moveaxis({images.name}, 1, -1)" if first else ""
            what = (
                f"{images.name!r} is not numbers of shape [n, height, width] or [n, height, width, 1, 3 or 4]"
            )
            raise self._error(what, f"{images.dtype} {list(shape)}", fix)
        if labels.shape not in ((shape[0],), (shape[0], 1)):
            fix = f"np.argmax({labels.name}, axis=-1) undoes one-hot" if len(labels.shape) == 2 else ""
            what = f"{labels.name!r} is not one label for each of {shape[0]} images"
            raise self._error(what, f"shape {list(labels.shape)}", fix)

    def _load(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        with (
            self._refusing_damage(),
            zipfile.ZipFile(self._path) as archive,
            archive.open(f"{name}.npy") as file,
        ):
            data = file.read()  # to its end, where the checksum is checked
            return np.frombuffer(data, array.dtype, offset=array.start).reshape(array.shape)

    @functools.cached_property
    def _labels(self) -> dict[str, list[str]]:
        """Split -> name of each image's class."""
        return {split: self._texts(labels, self.names) for split, (_, labels) in self._pairs.items()}

    def _texts(self, name: str, names: list[str]) -> list[str]:
        """Returns an array as texts; of numbers, the names that they are the places of."""
        labels = self._load(name).ravel()
        if labels.dtype.kind in "US":
            with self._refusing_damage():
                texts = [text.decode() if isinstance(text, bytes) else text for text in labels.tolist()]
                "".join(set(texts)).encode()  # what is no text is refused here
                return texts
        if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
            raise self._error(
                f"{name!r} holds numbers that are no classes", fix="labels must be integers or text"
            )
        numbers = [int(number) for number in labels.tolist()]
        known = range(len(names))
        return [names[number] if number in known else str(number) for number in numbers]

    @functools.cached_property
    def _scale(self) -> float:
        """What values are multiplied by. Reads all images once, which also checks their checksums."""
        low, high = math.inf, -math.inf
        kinds = {self._arrays[images].dtype for images, _ in self._pairs.values()}
        with self._refusing_damage():
            for images, _ in self._pairs.values():
                for block in self._blocks(self._arrays[images], 0, self._arrays[images].shape[0]):
                    if block.dtype not in (np.uint8, np.bool_, np.uint16):
                        finite = block[np.isfinite(block)]
                        if finite.size:
                            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        if low < 0 or high > 255:
            fix = "save uint8, or floats in [0, 1]"
            raise self._error("values of images are outside [0, 255]", f"{low:g} to {high:g}", fix)
        return 255.0 if high <= 1 and all(kind.kind == "f" for kind in kinds) else 1.0

    def _blocks(self, array: _Array, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yields the rows of a range, some at a time."""
        rows = max(_BLOCK // array.row_bytes, 1)
        with zipfile.ZipFile(self._path) as archive, archive.open(f"{array.name}.npy") as file:
            file.seek(array.start + start * array.row_bytes)
            for place in range(start, stop, rows):
                count = min(rows, stop - place)
                data = file.read(count * array.row_bytes)
                yield np.frombuffer(data, array.dtype).reshape(count, *array.shape[1:])
            file.read(1)  # at the end of an array its checksum is checked

    def classes(self) -> list[str]:
        if self.names:
            return self.names
        found = {label for labels in self._labels.values() for label in labels}
        return sorted(found, key=lambda name: (0, int(name), name) if _is_number(name) else (1, 0, name))

    def splits(self) -> set[str]:
        return self._pairs.keys() - {""}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        folder, name = os.path.split(self.file)
        return Listing(folder).fingerprint([name], workspace)

    def chunks(self) -> list[tuple[str, range, list[str]]]:
        """Returns split, range and labels of each chunk; in order, as the file is read in order."""
        _ = self._scale  # is found here once, not by each worker
        parts = [(split, part) for split, labels in self._labels.items() for part in cut(range(len(labels)))]
        return [(s, typing.cast(range, part), self._labels[s][part[0] : part[-1] + 1]) for s, part in parts]

    def read(self, chunk: tuple[str, range, list[str]]) -> Iterator[RawExample]:
        split, indices, labels = chunk
        array = self._arrays[self._pairs[split][0]]
        for index, label, pixels in zip(indices, labels, self._images(array, indices), strict=True):
            key = f"{split}/{index:08d}" if split else f"{index:08d}"
            if isinstance(pixels, str):
                yield RawExample(key, label, split, None, pixels, "truncated")
            elif self.names and label not in self.names:
                error = f"class {label!r} is not in the array `classes`"
                yield RawExample(key, label, split, None, error, "unknown_class")
            elif pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
                yield RawExample(key, label, split, None, "values that are no numbers", "unsupported_mode")
            else:
                yield RawExample(key, label, split, _png(pixels, self._scale))

    def _images(self, array: _Array, indices: range) -> Iterator[np.ndarray | str]:
        """Yields the pixels of each image, or why there are none."""
        done = 0
        try:
            for block in self._blocks(array, indices[0], indices[-1] + 1):
                for pixels in block:
                    yield pixels
                    done += 1
        except _DAMAGE as error:  # the file was changed since it was checked
            yield from [str(error) or type(error).__name__] * (len(indices) - done)

    def __getstate__(self) -> dict[str, typing.Any]:
        names = ("file", "names", "_arrays", "_pairs", "_scale")
        return {name: getattr(self, name) for name in names}


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal() and len(name) < 20


def _png(pixels: np.ndarray, scale: float) -> bytes:
    if pixels.dtype == np.bool_:
        pixels = pixels * np.uint8(255)
    elif pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        pixels = pixels >> 8
    elif pixels.dtype.kind == "f":
        pixels = np.rint(pixels.astype(np.float64) * scale)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(pixels, np.uint8)).save(file, "PNG")
    return file.getvalue()
