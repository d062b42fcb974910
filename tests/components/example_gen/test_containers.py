"""Which PNG and JPEG files may be stored as they are: each oddity alone is enough to say no."""

import zlib

import PIL.Image
import pytest
from small_images import SIGNATURE, chunk, encode, header, interlaced, noise, png, rows, with_checksums

from conveyor.components.example_gen.containers import is_plain_jpeg, is_plain_png

GREY, COLOUR = noise(9, 7), noise(9, 7, 3)
SIZE = (7, 9)
HEAD, STREAM, END = header(7, 9), zlib.compress(rows(GREY)), chunk(b"IEND")
BODY = chunk(b"IDAT", STREAM)
TEXT = chunk(b"tEXt", b"a\0b")


@pytest.mark.parametrize(
    "data",
    [
        encode(GREY),
        encode(COLOUR),
        encode(COLOUR, compress_level=0),
        interlaced(GREY),
        interlaced(COLOUR),
        SIGNATURE + HEAD + TEXT + BODY + TEXT + END,
        SIGNATURE + HEAD + chunk(b"IDAT", STREAM[:9]) + chunk(b"IDAT", STREAM[9:]) + END,
        SIGNATURE + HEAD + BODY + END + b"behind",
    ],
)
def test_plain_png(data):
    assert is_plain_png(data, SIZE)


def with_wrong_end(stream):
    """A compressed stream whose own checksum is wrong."""
    return stream[:-1] + bytes([stream[-1] ^ 1])


ODD_PNG = {
    "another size": encode(noise(7, 9)),
    "palette": encode(PIL.Image.new("P", SIZE)),
    "alpha": encode(PIL.Image.new("RGBA", SIZE)),
    "16 bits": encode(PIL.Image.new("I;16", SIZE)),
    "1 bit": encode(PIL.Image.new("1", SIZE)),
    "transparent colour": encode(GREY, transparency=3),
    "unknown compression": png(header(7, 9, compression=1), rows(GREY)),
    "unknown filtering": png(header(7, 9, filtering=1), rows(GREY)),
    "unknown interlacing": png(header(7, 9, interlace=2), rows(GREY)),
    "no end": SIGNATURE + HEAD + BODY,
    "cut in the end": encode(GREY)[:-5],
    "cut in text": (SIGNATURE + HEAD + BODY + TEXT)[:-3],
    "two headers": SIGNATURE + HEAD + HEAD + BODY + END,
    "text before the header": SIGNATURE + TEXT + HEAD + BODY + END,
    "pixels in two places": SIGNATURE
    + HEAD
    + chunk(b"IDAT", STREAM[:9])
    + TEXT
    + chunk(b"IDAT", STREAM[9:])
    + END,
    "suggested palette": SIGNATURE + HEAD + chunk(b"PLTE", b"abc") + BODY + END,
    "unknown chunk that must be known": SIGNATURE + HEAD + chunk(b"ABCD") + BODY + END,
    "chunk whose name is none": SIGNATURE + HEAD + chunk(b"a1CD") + BODY + END,
    "chunk whose name is reserved": SIGNATURE + HEAD + chunk(b"abcd") + BODY + END,
    "long text": SIGNATURE + HEAD + chunk(b"tEXt", b"a\0" + bytes(2 << 20)) + BODY + END,
    "too many rows": png(HEAD, rows(noise(10, 7))),
    "bytes behind the stream": SIGNATURE + HEAD + chunk(b"IDAT", STREAM + b"x") + END,
    "stream without its end": SIGNATURE + HEAD + chunk(b"IDAT", STREAM[:-4]) + END,
    "wrong checksum of the stream": SIGNATURE + HEAD + chunk(b"IDAT", with_wrong_end(STREAM)) + END,
}


@pytest.mark.parametrize("name", ODD_PNG)
def test_odd_png(name):
    assert not is_plain_png(ODD_PNG[name], SIZE)


def flip(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (flip(encode(GREY), 20), "checksum of chunk IHDR"),
        (flip(encode(GREY), 50), "checksum of chunk IDAT"),
        (flip(SIGNATURE + HEAD + BODY + TEXT + END, -15), "checksum of chunk tEXt"),
        (encode(GREY)[:-13], "truncated in the pixels"),
        (png(HEAD, rows(GREY[:8])), "truncated: 64 of 72 bytes"),
        (png(header(7, 9, colour=2), rows(COLOUR)[:-1]), "truncated: 197 of 198 bytes"),
        # Rows of 3, 5 and 15 bytes hold 7 pixels of 2, 4 and 16 bits; and one for the filter.
        (png(header(7, 9, depth=2), b"\0\1\2" * 8), "truncated: 24 of 27 bytes"),
        (png(header(7, 9, depth=4, colour=3), b"\0\1\2\3\4" * 8), "truncated: 40 of 45 bytes"),
        (png(header(7, 9, depth=16), bytes(15 * 8)), "truncated: 120 of 135 bytes"),
        (png(header(7, 9, depth=16, colour=4), bytes(29 * 8)), "truncated: 232 of 261 bytes"),
        (png(header(7, 9, colour=6), bytes(29 * 8)), "truncated: 232 of 261 bytes"),
        # Of one pixel only the first pass is there; of 2x1 the first and the sixth.
        (png(header(1, 1, interlace=1), b"\0"), "truncated: 1 of 2 bytes"),
        (png(header(2, 1, interlace=1), b"\0\0\0"), "truncated: 3 of 4 bytes"),
    ],
)
def test_damaged_png(data, message):
    with pytest.raises(ValueError, match=message):
        is_plain_png(data, SIZE)


JPEG = encode(noise(24, 30, 3), "JPEG")
JPEG_SIZE = (30, 24)


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        encode(noise(24, 30), "JPEG"),
        encode(noise(24, 30, 3), "JPEG", progressive=True),
        encode(noise(24, 30, 3), "JPEG", optimize=True, restart_marker_blocks=1),
        encode(
            noise(24, 30, 3), "JPEG", subsampling=2, comment=b"a comment", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"
        ),
        JPEG + b"behind",
    ],
)
def test_plain_jpeg(data):
    assert is_plain_jpeg(data, JPEG_SIZE)


def replaced(old, new):
    assert JPEG.count(old) == 1
    return JPEG.replace(old, new)


FRAME = b"\xff\xc0\x00\x11\x08\x00\x18\x00\x1e\x03"  # length 17, 8 bits, 24 rows, 30 columns, 3 channels
SCAN = b"\xff\xda\x00\x0c"

ODD_JPEG = {
    "another size": replaced(b"\x00\x18\x00\x1e", b"\x00\x1e\x00\x18"),
    "12 bits": replaced(FRAME, FRAME.replace(b"\x08", b"\x0c")),
    "lossless": replaced(FRAME, b"\xff\xc3" + FRAME[2:]),
    "arithmetic codes": replaced(FRAME, b"\xff\xc9" + FRAME[2:]),
    "two frames": replaced(FRAME, FRAME + bytes(9) + FRAME),
    "no frame": replaced(FRAME, b"\xff\xe1" + FRAME[2:]),
    "no scan": replaced(SCAN, b"\xff\xd9" + SCAN),
    "no end": JPEG[:-2],
    "half an end": JPEG[:-1],
    "cut in the frame": JPEG[: JPEG.index(FRAME) + 7],
    "cut in a length": JPEG[: JPEG.index(FRAME) + 3],
    "stray byte before a marker": replaced(FRAME, b"\0" + FRAME),
    "filled up before a marker": replaced(FRAME, b"\xff" + FRAME),
    "second start": replaced(FRAME, b"\xff\xd8" + FRAME),
    "segment of no length": replaced(FRAME, b"\xff\xe1\x00\x00" + FRAME),
    "segment longer than the file": replaced(SCAN, b"\xff\xe1\xff\xff" + SCAN),
    "marker in the pixels": JPEG[:-9] + b"\xff\xe1\xff\xff" + JPEG[-9:],
}


@pytest.mark.parametrize("name", ODD_JPEG)
def test_odd_jpeg(name):
    assert not is_plain_jpeg(ODD_JPEG[name], JPEG_SIZE)


def test_the_odd_png_with_right_checksums_are_what_they_seem():
    """A guard for this file: only the named oddity may be the reason for a no."""
    for name, data in ODD_PNG.items():
        if not name.startswith("cut"):
            assert with_checksums(data) == data, name
