"""Damaged sources: readers refuse or tell, and whatever is kept, training can read."""

import contextlib
import pathlib
import pickle
import random
import shutil
import signal
import sys

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from small_images import (
    chunk,
    damage,
    encode,
    header,
    interlaced,
    noise,
    png,
    rows,
    with_checksums,
    write_files,
)

sys.path.insert(0, str(pathlib.Path(__file__).parent / "readers"))

from format_samples import ARGUMENTS, files_of
from source_mutations import mutate

from conveyor.components.example_gen.images import RejectedError, measure
from conveyor.components.example_gen.readers.names import is_image, printable
from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.components.example_gen.readers.tfrecord import CorruptRecordError, read_records
from conveyor.pipeline.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on odd metadata
GREY, COLOUR = noise(9, 7), noise(9, 7, 3)
SMOOTH = np.arange(24 * 30 * 3).reshape(24, 30, 3).astype(np.uint8)

PNGS = [
    encode(GREY),
    encode(COLOUR),
    encode(SMOOTH),
    encode(noise(9, 7, 4)),
    encode(GREY > 128),
    encode(GREY, transparency=3),
    encode(COLOUR, transparency=(1, 2, 3)),
    encode(GREY.astype(np.uint16) * 257),
    encode(PIL.Image.fromarray(COLOUR).quantize(16)),
    interlaced(COLOUR),
    png(header(7, 9), rows(GREY), chunk(b"gAMA", b"\0\0\xb1\x8f") + chunk(b"tEXt", b"a\0b"), chunk(b"tIME")),
]
JPEGS = [
    encode(GREY, "JPEG"),
    encode(COLOUR, "JPEG"),
    encode(SMOOTH, "JPEG", progressive=True, quality=50),
    encode(SMOOTH, "JPEG", optimize=True, subsampling=2, restart_marker_blocks=1),
    encode(SMOOTH[..., 0], "JPEG", progressive=True),
]
OTHERS = [
    encode(COLOUR, "BMP"),
    encode(COLOUR, "GIF"),
    encode(COLOUR, "WEBP", lossless=True),
    encode(COLOUR, "TIFF"),
    encode(COLOUR, "TIFF", compression="tiff_lzw"),
    encode(COLOUR, "PPM"),
    encode(PIL.Image.fromarray(COLOUR), "MPO", save_all=True, append_images=[PIL.Image.fromarray(COLOUR)]),
]


def damaged_pngs(dice):
    return damage(dice.choice(PNGS), dice)


def damaged_pngs_with_checksums(dice):
    """As a broken encoder would write them: damaged before the checksums were made."""
    return with_checksums(damaged_pngs(dice))


def damaged_jpegs(dice):
    return damage(dice.choice(JPEGS), dice)


def damaged_others(dice):
    return damage(dice.choice(OTHERS), dice)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("make", "tries", "least_kept"),
    [
        (damaged_pngs, 8000, 100),
        (damaged_pngs_with_checksums, 8000, 200),
        (damaged_jpegs, 5000, 1500),
        (damaged_others, 3000, 500),
    ],
)
def test_what_is_kept_can_be_decoded(make, tries, least_kept, seed):
    dice = random.Random(seed)  # noqa: S311
    kept, told = 0, set()
    for _ in range(tries):
        data = make(dice)
        try:
            measured = measure(data, 100_000)
        except RejectedError as no:
            told.add((no.reason, no.detail))
            continue
        kept += 1
        shape = (measured.height, measured.width, measured.channels)
        pixels = tf.io.decode_image(measured.data, measured.channels, expand_animations=False).numpy()
        assert pixels.shape == shape, data
        if measured.data.startswith(b"\x89PNG"):
            assert pixels.astype(int).sum((0, 1)).tolist() == measured.pixel_sum, data
        assert tf.io.decode_image(measured.data, 3, expand_animations=False).shape == (*shape[:2], 3)
    assert {reason for reason, _ in told} <= {"empty", "unreadable", "truncated", "too_large", "animated"}
    # The address of an object would differ from run to run.
    assert all(detail and " at 0x" not in detail for _, detail in told)
    assert kept >= least_kept, "the test is worth nothing where nothing is kept"


def read(name, folder):
    """Returns all that a reader tells, or None where it refuses the source."""
    try:
        reader = open_source(f"{name}:{folder}/{ARGUMENTS[name]}")
        reader.fingerprint(folder.parent)
        known = reader.classes(), reader.splits(), reader.annotations
        worker, chunks = pickle.loads(pickle.dumps((reader, list(reader.chunks()))))  # noqa: S301
        return *known, chunks, [example for chunk in chunks for example in worker.read(chunk)]
    except UserError as error:
        str(error).encode()
        return None


def listed(name, folder, chunks):
    """Returns the number of examples that are listed in chunks."""
    if name == "npz":
        return sum(len(indices) for _, indices, _ in chunks)
    return (
        sum(map(records, (folder / path for path, _ in chunks)))
        if name == "tfrecord"
        else sum(map(len, chunks))
    )


def records(path):
    """Returns the records of a file, with one for a damaged end."""
    count = 0
    try:
        for _ in read_records(str(path)):
            count += 1
    except (CorruptRecordError, OSError):
        count += 1
    return count


def check(example, classes, splits, annotations):
    """Checks that all a reader says of one example is of use, and can be written down."""
    assert example.key
    assert example.key.encode()
    assert len(example.error.encode()) < 2000
    assert (example.data is None) == bool(example.error)
    assert example.reason in REASONS
    assert example.split in {"", *splits} or example.data is None
    assert example.size is None or min(example.size) > 0
    for fault in example.faults:
        assert fault.reason in REASONS
        assert len(f"{fault.field} {fault.detail}".encode()) < 2000
    if example.data is None:
        return
    assert bool(example.label) == ("label" in annotations)
    assert (example.objects is not None) == ("objects" in annotations)
    assert bool(example.mask) == ("mask" in annotations)
    # A number that the label map of an NPZ file or a list does not name is told, not kept.
    labels = {example.label} - {""} | {item.label for item in example.objects or ()}
    assert labels <= set(classes)
    assert all(isinstance(side, float | int) for item in example.objects or () for side in item.box)


@contextlib.contextmanager
def in_time(seconds):
    """Ends what hangs, if need be in the middle of a system call."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def images_that_must_be_told(name, folder):
    """Returns the images that cannot vanish, whatever is wrong with the rest: those in the usual folders."""
    patterns = {"folder": "*/*/**/*", "voc": "JPEGImages/*", "masks": "*/images/*"}
    found = folder.glob(patterns[name]) if name in patterns else ()
    usual = (path.relative_to(folder) for path in found if path.is_file() and is_image(path.name))
    return {printable(str(path)) for path in usual if not any(part.startswith(".") for part in path.parts)}


def fuzz(name, seed, folder):
    """Reads a damaged data set twice; returns "refused", "told" or "clean"."""
    dice = random.Random(f"{name} {seed}")  # noqa: S311
    write_files(folder, files_of(name))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        mutate(folder, dice)
    with in_time(20):
        first, second = read(name, folder), read(name, folder)
    assert repr(first) == repr(second), "two readings are equal"
    if first is None:
        return "refused"
    *known, chunks, examples = first
    assert len(examples) == listed(name, folder, chunks)
    assert len({example.key for example in examples}) == len(examples), "keys are unique"
    if name != "folder" or "train" in known[1]:
        assert images_that_must_be_told(name, folder) <= {example.key for example in examples}
    for example in examples:
        check(example, *known)
    faulty = any(example.data is None or example.faults for example in examples)
    return "told" if faulty else "clean"


def fuzz_many(name, seeds, tmp_path):
    found = dict.fromkeys(("refused", "told", "clean"), 0)
    for seed in seeds:
        folder = tmp_path / "data"
        found[fuzz(name, seed, folder)] += 1
        shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("name", ARGUMENTS)
def test_readers_of_damaged_sources(name, tmp_path):
    found = fuzz_many(name, range(40), tmp_path)
    assert found["clean"] + found["told"] > 1
    assert found["refused"] + found["told"] > 10 or name == "folder"  # it has no annotations


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_readers_of_very_many_damaged_sources(name, tmp_path):
    found = fuzz_many(name, range(1000, 1200), tmp_path)
    assert found["clean"] + found["told"] > 10
    assert found["refused"] + found["told"] > 6
