"""Which images are set aside, with which reason; and that nothing else can be done by one."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import pytest
from small_images import chunk, chunks, decode, encode, header, interlaced, noise, png, rows

from conveyor.components.example_gen.images import RejectedError, measure

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on odd metadata
GREY, COLOUR = noise(9, 7), noise(9, 7, 3)
MANY = 1_000_000


def rejection(data, max_pixels=MANY):
    with pytest.raises(RejectedError) as caught:
        measure(data, max_pixels)
    return caught.value


def frames(kind, **options):
    first, second = PIL.Image.fromarray(GREY), PIL.Image.fromarray(GREY[::-1])
    return encode(first, kind, save_all=True, append_images=[second], **options)


def without_rows(number):
    """A PNG with right checksums that lacks its last rows."""
    return png(header(7, 9), rows(GREY[: 9 - number]))


def with_wrong_checksum(kind):
    data = bytearray(encode(GREY))
    place = next(place for place, name, _ in chunks(bytes(data)) if name == kind)
    data[place + 8] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "empty", "no content"),
        (b"\0", "unreadable", "cannot identify image file"),
        (b"just text", "unreadable", "cannot identify image file"),
        (encode(GREY)[:8], "unreadable", "cannot identify image file"),
        (b"\xff\xd8\xff", "unreadable", ""),
        (png(header(0, 9), b""), "unreadable", "cannot identify image file"),
        (b"P5 7 0 255\n", "unreadable", "cannot identify image file"),
        (encode(GREY)[:60], "truncated", "truncated"),
        (encode(COLOUR, "JPEG")[:-40], "truncated", "truncated"),
        (encode(COLOUR, "BMP")[:-40], "truncated", "truncated"),
        (without_rows(1), "truncated", "64 of 72 bytes"),
        (interlaced(COLOUR)[:80] + chunk(b"IEND"), "unreadable", ""),
        (with_wrong_checksum(b"IDAT"), "unreadable", ""),
        (with_wrong_checksum(b"IHDR"), "unreadable", ""),
        (frames("GIF"), "animated", "2 frames"),
        (frames("PNG"), "animated", "2 frames"),
        (frames("WEBP", lossless=True), "animated", "2 frames"),
        (frames("TIFF"), "animated", "2 frames"),
        (encode(np.float32([[0.5]]), "TIFF"), "unsupported_mode", "outside 16 bits"),
        (encode(np.int32([[70_000]]), "TIFF"), "unsupported_mode", "outside 16 bits: 70000"),
    ],
)
def test_rejected(data, reason, detail):
    no = rejection(data)
    assert no.reason == reason
    assert detail in no.detail
    assert " at 0x" not in no.detail, "an address differs from run to run"
    assert no.detail


def test_a_checksum_that_only_a_strict_decoder_reads():
    data = bytearray(encode(GREY))
    place = next(place for place, kind, body in chunks(bytes(data)) if kind == b"IDAT")
    data[place + 8 + len(chunks(bytes(data))[1][2])] ^= 1
    np.testing.assert_array_equal(decode(bytes(data)), GREY)  # Pillow does not look at it
    no = rejection(bytes(data))
    assert (no.reason, no.detail) == ("unreadable", "the checksum of chunk IDAT is wrong")


def test_no_other_program_is_run(monkeypatch):
    called = []
    monkeypatch.setattr(PIL.EpsImagePlugin, "Ghostscript", lambda *args: called.append(args))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    assert PIL.Image.open(io.BytesIO(eps)).format == "EPS"
    assert rejection(eps).reason == "unreadable"
    assert not called


@pytest.mark.parametrize("data", [encode(GREY), encode(COLOUR), interlaced(COLOUR)])
def test_cut_png(data):
    """Nothing that lacks pixels, or the checksum of some, is kept; the last chunk holds neither."""
    for cut in range(len(data) - 12):
        assert rejection(data[:cut]).reason in ("empty", "truncated", "unreadable")
    for cut in range(len(data) - 12, len(data)):
        np.testing.assert_array_equal(decode(measure(data[:cut], MANY).data), decode(data))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 2, "restart_marker_blocks": 1}]
)
@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_cut_jpeg(pixels, options):
    """Nothing that lacks pixels is kept; without its end marker a file has them all."""
    data = encode(pixels, "JPEG", **options)
    kept = []
    for cut in range(len(data)):
        try:
            measured = measure(data[:cut], MANY)
        except RejectedError:
            continue
        kept.append(len(data) - cut)
        np.testing.assert_array_equal(decode(measured.data), decode(data))
    assert max(kept, default=0) <= 2


def test_the_limit_itself_is_allowed():
    assert measure(encode(GREY), 63).width == 7
    no = rejection(encode(GREY), 62)
    assert (no.reason, no.detail) == ("too_large", "7x9 is more than 62 pixels")


def test_huge_webp():
    webp = bytearray(encode(noise(8, 8, 3), "WEBP", lossless=True))
    place = webp.index(b"VP8L") + 9  # behind length and signature: 14 bits each of width and height, less 1
    webp[place : place + 4] = struct.pack("<I", 16382 | 16382 << 14)
    assert rejection(bytes(webp)).detail == "16383x16383 is more than 1000000 pixels"


HUGE = """
import resource, struct, sys
sys.path.insert(0, sys.argv[1])
from conveyor.components.example_gen.images import RejectedError, measure
from small_images import encode, header, noise, png

jpeg = bytearray(encode(noise(8, 8), "JPEG"))
place = jpeg.index(b"\\xff\\xc0") + 5
jpeg[place : place + 4] = struct.pack(">HH", 65000, 65000)
tags = [(256, 4, 60000), (257, 4, 60000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 9)]
entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
bmp = struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
gif = struct.pack("<HH", 65535, 65535) + bytes(3) + b"," + bytes(4) + b"\\xff" * 4
files = {
    "PNG": png(header(2**31 - 1, 2**31 - 1), b""),
    "JPEG": bytes(jpeg),
    "TIFF": b"II*\\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4),
    "BMP": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bmp,
    "GIF": b"GIF89a" + gif + b"\\0\\x02\\x02\\x4c\\x01\\0;",
    "PPM": b"P5 60000 60000 255\\n",
}
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 100_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name, data in files.items():
    try:
        measure(data, 50_000_000)
    except RejectedError as no:
        print(name, no.reason)
measure(encode(noise(8, 8), "JPEG", exif=b"Exif\\0\\0II*\\0" + b"\\xff" * 4), 50_000_000)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its own memory by /proc")
def test_huge_sizes_are_refused_before_memory_is_taken():
    helpers = os.path.join(os.path.dirname(__file__), "..", "..", "helpers")
    done = subprocess.run([sys.executable, "-c", HUGE, helpers], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        f"{name} too_large" for name in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM")
    ]
    assert done.stderr == "", "odd metadata is no reason to say anything"
