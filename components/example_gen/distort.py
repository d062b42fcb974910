"""Distorts a source's digits as the paper on spatial transformers does: the setting `data.distort`.

Each image is distorted once, by random numbers that its own bytes decide, so that test data is fixed and
copies of an image stay copies. Splits that are not to be distorted get the same canvas.
"""

import dataclasses
import hashlib
import io
import pathlib
import typing
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image

from conveyor.components.example_gen.images import FORMATS
from conveyor.components.example_gen.readers.distortions import FRAME, RTS_SIDE, draw, warp
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import Reader
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.example_gen.splits import assign, unit_of
from conveyor.pipeline.errors import UserError


def with_distortion(reader: Reader, settings: ExampleGenSettings) -> Reader:
    """Returns the reader, or one that distorts its images where the settings ask for that.

    Raises:
        UserError: Images have more than a class, which would have to move with the pixels; or their
            splits depend on one another.
    """
    if settings.distort == "none":
        return reader
    if reader.annotations != {"label"}:
        raise UserError(
            "data.distort moves pixels only",
            expected="a source with a class for each image, and neither objects nor masks",
            received=", ".join(sorted(reader.annotations)),
            where=settings.source,
            fix="leave out data.distort, and use `augment` for training",
        )
    shares = settings.splits
    others = {"data.splits.stratify": shares.stratify, "data.splits.folds": shares.folds}
    others["data.leaks: resplit"] = settings.resplit
    if unfit := [name for name, is_set in others.items() if is_set]:
        raise UserError(
            "data.distort must know the split of an image before it is distorted",
            expected="splits of the source, or by the content of each image alone",
            received=" and ".join(unfit),
            where="section `data` of the config",
            fix=f"leave out {unfit[0]}",
        )
    return DistortedReader(reader, settings)


class DistortedReader:
    """Reads what another reader reads, distorted.

    Args:
        reader: Of grey images of 28 x 28 pixels; others are set aside.
        settings: What to distort and how, and the shares of splits.
    """

    def __init__(self, reader: Reader, settings: ExampleGenSettings):
        self._reader = reader
        self._settings = settings
        self._source_splits = reader.splits()
        self.annotations = reader.annotations
        if hasattr(reader, "in_place"):  # TensorFlow reads it, which must not be copied into workers
            self.in_place = ""

    def classes(self) -> list[str]:
        return self._reader.classes()

    def splits(self) -> set[str]:
        """Returns all splits: which one an image is in must be known before it is distorted."""
        return self._source_splits | {"train", "validation", "test"}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        return self._reader.fingerprint(workspace)

    def chunks(self) -> Sequence[typing.Any]:
        return self._reader.chunks()

    def read(self, chunk: typing.Any) -> Iterator[RawExample]:
        return map(self._distort, self._reader.read(chunk))

    def _distort(self, raw: RawExample) -> RawExample:
        data = raw.data
        if data is None:
            return raw
        content = hashlib.sha256(data).hexdigest()
        unit = unit_of(raw.group, content[:32])
        split = assign(raw.split, unit, self._source_splits, self._settings.splits)
        raw = dataclasses.replace(raw, split=split)
        try:
            image = _decode(data)
        except Exception:  # of many kinds on hostile bytes; ingestion says what is wrong with them
            return raw
        if image.size != (FRAME, FRAME) or image.mode != "L":
            no = f"{image.size[0]}x{image.size[1]}, mode {image.mode}; data.distort takes grey 28x28"
            return dataclasses.replace(raw, data=None, error=no, reason="image_size")
        frame, kind = np.asarray(image), self._settings.distort
        if split in self._settings.distort_splits:
            rng = np.random.default_rng(int(content, 16))
            frame = np.rint(warp(frame.astype(np.float32), draw(kind, rng))).astype(np.uint8)
        elif kind == "RTS":
            frame = np.pad(frame, (RTS_SIDE - FRAME) // 2)
        else:
            return raw
        return dataclasses.replace(raw, data=_encode(frame, str(image.format)))


def _decode(data: bytes) -> PIL.Image.Image:
    """Opens an image; loads its pixels where it has the size that is wanted, and few."""
    image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    if image.size == (FRAME, FRAME):
        image.load()
    return image


def _encode(pixels: np.ndarray, source_format: str) -> bytes:
    """Returns an image of the format that the file's name promises."""
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(
        file, source_format, **({"quality": 95} if source_format == "JPEG" else {})
    )
    return file.getvalue()
