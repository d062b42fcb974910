"""What is in a source: counted by reading it once, as far as that takes no longer than a look may."""

import collections
import dataclasses
import io
import statistics

import PIL.Image

from conveyor.components.commands.detect import examples_of
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import Reader

MAX_EXAMPLES = 100_000
MAX_BYTES = 1 << 29  # of images
MAX_HEADERS = 1000  # images whose size is looked at


@dataclasses.dataclass
class Survey:
    """Counts.

    Args:
        complete: Whether all was read; if not, counts are of what was.
        examples: Number of images that can be read.
        set_aside: Reason -> number of files that cannot be used.
        faults: Reason -> number of parts that are wrong of files that can be used.
        splits: Split at the source -> number of images; "" for none.
        labels: Class -> number of images.
        objects: Class -> number of objects.
        outlines: Number of objects with more than a box.
        masks: Number of images with a mask.
        sizes: Width and height of some images, in pixels.
    """

    complete: bool = True
    examples: int = 0
    set_aside: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    splits: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    labels: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    outlines: int = 0
    masks: int = 0
    sizes: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    @property
    def median_size(self) -> tuple[int, int] | None:
        """Width and height, each the median; None where no size could be read."""
        if not self.sizes:
            return None
        widths, heights = zip(*self.sizes, strict=True)
        return statistics.median_low(widths), statistics.median_low(heights)


def survey(reader: Reader) -> Survey:
    """Counts what is in a source."""
    found, size = Survey(), 0
    for number, example in enumerate(examples_of(reader)):
        if number >= MAX_EXAMPLES or size > MAX_BYTES:
            found.complete = False
            break
        size += len(example.data or b"")
        _count(found, example)
    return found


def _count(found: Survey, example: RawExample) -> None:
    if example.data is None:
        found.set_aside[example.reason] += 1
        return
    found.examples += 1
    found.splits[example.split] += 1
    found.faults.update(fault.reason for fault in example.faults)
    if example.label:
        found.labels[example.label] += 1
    for thing in example.objects or ():
        found.objects[thing.label] += 1
        found.outlines += thing.segmentation is not None
    found.masks += example.mask is not None
    if len(found.sizes) < MAX_HEADERS and (shape := _size(example.data)):
        found.sizes.append(shape)


def _size(data: bytes) -> tuple[int, int] | None:
    """Returns width and height as a file's header has them; None where there is none to be read."""
    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # of many kinds on hostile bytes; a run says what is wrong with the image
        return None
