"""Whether an encoded file may be stored as it is, told from its structure.

Decoders differ in what they forgive: one that stops at the last row of pixels never sees a wrong
checksum or a missing end, another refuses such a file. What passes here every decoder reads.

Source: PNG (Third Edition), W3C 2025, sections 5, 8 and 11; ITU-T T.81 (JPEG), annex B.
"""

import itertools
import re
import struct
import zlib
from collections.abc import Iterator

_CHUNK = struct.Struct(">I4s")  # length of the body, kind; then the body and a CRC-32
_HEADER = struct.Struct(">II5B")  # width, height, bit depth, colour type, compression, filter, interlace
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
_GREY_OR_RGB = (0, 2)
_LARGEST_EXTRA = 1 << 20  # bytes of a chunk that is not pixels; decoders have limits of their own
_PIECE = 1 << 16
# Passes of an image: first column, first row, steps between columns and rows.
_PASSES = {
    0: ((0, 0, 1, 1),),
    1: ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
}

_END, _SCAN = 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive with Huffman codes
# Within a scan 0xFF is followed by 0 or is a restart marker; anything else ends the scan.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")


def is_plain_png(data: bytes, size: tuple[int, int]) -> bool:
    """Whether a PNG is whole, of 8 bits, grey or RGB, and free of oddities.

    Args:
        data: The file, with the signature of PNG, of which a decoder has read the pixels.
        size: Width and height it is known to have.

    Raises:
        ValueError: Pixels are missing, or a checksum is wrong.
    """
    chunks = list(_chunks(data))
    whole = _has_all_pixels(data, [body for kind, body in chunks if kind == b"IDAT"])
    critical = [kind for kind, _ in chunks if not _may_be_skipped(kind)]
    in_order = critical == [b"IHDR", *[b"IDAT"] * (len(critical) - 2), b"IEND"]
    runs = [kind for kind, _ in itertools.groupby(kind for kind, _ in chunks)]
    odd = any(_is_odd(kind, body) for kind, body in chunks)
    return whole and in_order and runs.count(b"IDAT") == 1 and not odd and _is_plain_header(data, size)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields kind and body of each chunk, as far as there are whole ones."""
    place = 8
    while place + 8 <= len(data):
        length, kind = _CHUNK.unpack_from(data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            if kind == b"IDAT":
                raise ValueError("truncated in the pixels")
            return  # nothing but metadata is missing
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ValueError(f"the checksum of chunk {kind.decode('latin-1')} is wrong")
        yield kind, data[place + 8 : end]
        if kind == b"IEND":
            return
        place = end + 4


def _may_be_skipped(kind: bytes) -> bool:
    return bool(kind[0] & 0x20)  # lower case


def _is_odd(kind: bytes, body: bytes) -> bool:
    unlawful = not kind.isalpha() or kind[2] & 0x20  # the third letter is upper case
    too_long = _may_be_skipped(kind) and len(body) > _LARGEST_EXTRA
    return kind == b"tRNS" or bool(unlawful) or too_long


def _is_plain_header(data: bytes, size: tuple[int, int]) -> bool:
    width, height, depth, colour, compression, filtering, interlace = _HEADER.unpack_from(data, 16)
    first = _CHUNK.unpack_from(data, 8) == (_HEADER.size, b"IHDR")
    methods_known = compression == filtering == 0 and interlace in _PASSES
    return first and (width, height) == size and depth == 8 and colour in _GREY_OR_RGB and methods_known


def _has_all_pixels(data: bytes, pixels: list[bytes]) -> bool:
    """Whether the compressed pixels are exactly as long as they should be, checksum included."""
    width, height, depth, colour, _, _, interlace = _HEADER.unpack_from(data, 16)
    bits = _SAMPLES.get(colour, 1) * depth
    expected = 0
    for left, top, right, down in _PASSES.get(interlace, ()):
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        expected += rows * (1 + (columns * bits + 7) // 8) if columns > 0 else 0
    stream = zlib.decompressobj()
    found = 0
    try:
        for part in pixels:
            for start in range(0, len(part), _PIECE):
                found += len(stream.decompress(part[start : start + _PIECE]))
    except zlib.error:
        return False  # behind the pixels, or else the decoder would not have read them
    if found < expected:
        raise ValueError(f"truncated: {found} of {expected} bytes of pixels")
    return found == expected and stream.eof and not stream.unused_data


def is_plain_jpeg(data: bytes, size: tuple[int, int]) -> bool:
    """Whether a JPEG is whole, of 8 bits, Huffman coded, and free of stray bytes.

    Args:
        data: The file, with the first marker of JPEG, of which a decoder has read the pixels.
        size: Width and height it is known to have.
    """
    place, frames = 2, 0
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] >= min(_FRAMES):
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xD0 <= marker <= _END or length < 2:
            return False
        if marker in _FRAMES:
            frames += 1
            if not _is_plain_frame(marker, data[place + 4 : place + 9], size):
                return False
        place += 2 + length
        if marker == _SCAN:
            found = _MARKER_IN_SCAN.search(data, place)
            if found is None:
                return False
            place = found.start()
            if data[place + 1] == _END:
                return frames == 1
    return False


def _is_plain_frame(marker: int, frame: bytes, size: tuple[int, int]) -> bool:
    height_width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    return marker in _COMMON_FRAMES and frame[:1] == b"\x08" and height_width == size[::-1]
