"""Whatever is kept, training can read: damaged files against the decoder of the graph."""

import random

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from small_images import chunk, damage, encode, header, interlaced, noise, png, rows, with_checksums

from conveyor.components.example_gen.images import RejectedError, measure

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
