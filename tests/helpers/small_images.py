"""Small images: encoded, hand-made, damaged, and in class folders. Import through sys.path (see conftest)."""

import io
import random
import struct
import zlib

import numpy as np
import PIL.Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Adam7: first column, first row, steps between columns and rows.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def noise(height, width, channels=1, seed=0):
    """Returns uint8 pixels: [height, width] of one channel, [height, width, channels] of more."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encode(pixels, kind="PNG", **options):
    """Returns the file of an array or a PIL image."""
    image = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(np.asarray(pixels))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode(data):
    """Returns the pixels of a file."""
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


def with_orientation(pixels, kind, orientation, **options):
    """Returns a file whose EXIF data say how it is to be turned."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return encode(pixels, kind, exif=exif.tobytes(), **options)


def chunk(kind, body=b""):
    """Returns a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height, depth=8, colour=0, compression=0, filtering=0, interlace=0):
    """Returns the first chunk of a PNG."""
    fields = (width, height, depth, colour, compression, filtering, interlace)
    return chunk(b"IHDR", struct.pack(">II5B", *fields))


def rows(pixels):
    """Returns uint8 pixels as the unfiltered rows of a PNG."""
    return b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)


def png(head, content, before=b"", after=b""):
    """Returns a PNG of a header chunk and uncompressed rows, with chunks before and after the pixels."""
    return SIGNATURE + head + before + chunk(b"IDAT", zlib.compress(content)) + after + chunk(b"IEND")


def interlaced(pixels):
    """Returns an interlaced PNG of grey or RGB pixels."""
    parts = [pixels[top::down, left::right] for left, top, right, down in PASSES]
    content = b"".join(rows(part) for part in parts if part.size)
    colour = 2 if pixels.ndim == 3 else 0
    return png(header(pixels.shape[1], pixels.shape[0], colour=colour, interlace=1), content)


def chunks(data):
    """Returns [offset, kind, body] of each chunk of a PNG."""
    found, place = [], len(SIGNATURE)
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        found.append((place, kind, data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_checksums(data):
    """Returns a damaged PNG with right checksums, as far as it still has chunks."""
    mended, place = bytearray(data), len(SIGNATURE)
    while place + 12 <= len(mended):
        end = place + 8 + struct.unpack_from(">I", mended, place)[0]
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[place + 4 : end]))
        place = end + 4
    return bytes(mended)


def damage(data, dice: random.Random):
    """Returns bytes with some changed, inserted, removed, repeated or cut off."""
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        place = dice.randrange(len(data))
        span = dice.choice((1, 2, 5, 20))
        kind = dice.random()
        if kind < 0.5:
            old = data[place]
            data[place] = dice.choice((dice.randrange(256), old ^ 1 << dice.randrange(8), 0, 255))
        elif kind < 0.7:
            del data[place : place + span]
        elif kind < 0.85:
            data[place:place] = dice.randbytes(span)
        elif kind < 0.92:
            data[place:place] = data[max(0, place - span) : place]
        else:
            del data[place:]
        if not data:
            return b"\0"
    return bytes(data)


def write_files(folder, files):
    """Writes {relative path: bytes}; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def class_files(classes=("cat", "dog"), each=10, size=(6, 5), channels=1, seed=0):
    """Returns {"<class>/<number>.png": noise} that `write_files` takes."""
    return {
        f"{name}/{number}.png": encode(noise(*size, channels, seed=[seed, place, number]))
        for place, name in enumerate(classes)
        for number in range(each)
    }
