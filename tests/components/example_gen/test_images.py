"""What is stored of an image, and the facts about it, in hand-worked examples."""

import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import scipy.signal
import simplejpeg
import tensorflow as tf
from small_images import (
    chunk,
    chunks,
    decode,
    encode,
    header,
    interlaced,
    noise,
    png,
    rows,
    with_orientation,
)

from conveyor.components.example_gen.images import RejectedError, contradicts, measure

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on odd metadata
GREY, COLOUR = noise(9, 7), noise(9, 7, 3)
PALETTE = [10, 20, 30, 200, 100, 50]
RED_BLUE = np.uint8([[[255, 0, 0], [0, 0, 255]]])
MANY = 1_000_000


def paletted(**options):
    image = PIL.Image.fromarray(np.uint8([[0, 1], [1, 0]]), "P")
    image.putpalette(PALETTE)
    return encode(image, **options)


def image_of(mode, *values):
    """Returns an image one pixel high."""
    image = PIL.Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def mpo():
    image = PIL.Image.fromarray(COLOUR)
    return encode(image, "MPO", save_all=True, append_images=[image])


STORED = {
    "grey PNG": (encode(GREY), "PNG", "L"),
    "RGB PNG": (encode(COLOUR), "PNG", "RGB"),
    "PNG of one pixel": (encode(GREY[:1, :1]), "PNG", "L"),
    "interlaced PNG": (interlaced(COLOUR), "PNG", "RGB"),
    "PNG with metadata": (png(header(7, 9), rows(GREY), before=chunk(b"tEXt", b"a\0b")), "PNG", "L"),
    "PNG with broken EXIF": (png(header(7, 9), rows(GREY), before=chunk(b"eXIf", b"broken")), "PNG", "L"),
    "PNG with bytes behind its end": (encode(GREY) + b"behind", "PNG", "L"),
    "grey JPEG": (encode(GREY, "JPEG"), "JPEG", "L"),
    "RGB JPEG": (encode(COLOUR, "JPEG"), "JPEG", "RGB"),
    "progressive JPEG": (encode(COLOUR, "JPEG", progressive=True), "JPEG", "RGB"),
    "subsampled JPEG": (encode(COLOUR, "JPEG", subsampling=2, restart_marker_blocks=1), "JPEG", "RGB"),
    "JPEG, orientation 0": (with_orientation(COLOUR, "JPEG", 0), "JPEG", "RGB"),
    "JPEG, orientation 1": (with_orientation(COLOUR, "JPEG", 1), "JPEG", "RGB"),
    "JPEG, orientation 9": (with_orientation(COLOUR, "JPEG", 9), "JPEG", "RGB"),
    "JPEG with broken EXIF": (encode(COLOUR, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), "JPEG", "RGB"),
    "JPEG with a second picture behind": (mpo(), "JPEG", "RGB"),
}


@pytest.mark.parametrize("name", STORED)
def test_stored_byte_for_byte(name):
    data, kind, mode = STORED[name]
    measured = measure(data, MANY)
    assert measured.data == data
    assert (measured.format, measured.mode) == (kind, mode)
    assert (measured.height, measured.width) == decode(data).shape[:2]
    assert measured.channels == (1 if mode == "L" else 3)


# Onto white: value * alpha / 255 + 255 * (255 - alpha) / 255. With alpha 128:
# 50 -> 152.1, 100 -> 177.2, 200 -> 227.4.
ON_WHITE = {50: 152, 100: 177, 200: 227}
GREY_ALPHA = [(100, 0), (100, 255), (100, 128)]
RGBA = [(200, 100, 50, 0), (200, 100, 50, 255), (200, 100, 50, 128)]
TWO = np.uint8([[0, 128]])

CONVERTED = {
    "palette PNG": (paletted(), [[PALETTE[:3], PALETTE[3:]], [PALETTE[3:], PALETTE[:3]]], "PNG", "P"),
    "palette PNG with transparency": (
        paletted(transparency=bytes([0, 128])),
        [[[255] * 3, [227, 177, 152]], [[227, 177, 152], [255] * 3]],
        "PNG",
        "P",
    ),
    "1-bit PNG": (encode(np.array([[True, False, True]])), [[255, 0, 255]], "PNG", "1"),
    # Four pixels of two bits in a byte: 0, 1, 2, 3 of 3.
    "2-bit PNG": (png(header(4, 1, depth=2), b"\0\x1b"), [[0, 85, 170, 255]], "PNG", "L"),
    "4-bit PNG": (png(header(2, 1, depth=4), b"\0\x1f"), [[17, 255]], "PNG", "L"),
    "16-bit PNG": (
        encode(np.uint16([[0x0000, 0x00FF, 0x1234, 0xFFFF]])),
        [[0x00, 0x00, 0x12, 0xFF]],
        "PNG",
        "I;16",
    ),
    "16-bit RGB PNG": (
        png(header(1, 1, depth=16, colour=2), b"\0" + bytes([0x12, 0xFF, 0x34, 0x00, 0xFF, 0xFF])),
        [[[0x12, 0x34, 0xFF]]],
        "PNG",
        "RGB",
    ),
    "LA PNG": (encode(image_of("LA", *GREY_ALPHA)), [[255, 100, 177]], "PNG", "LA"),
    "RGBA PNG": (
        encode(image_of("RGBA", *RGBA)),
        [[[255] * 3, [200, 100, 50], [227, 177, 152]]],
        "PNG",
        "RGBA",
    ),
    "grey PNG, one value transparent": (encode(TWO, transparency=128), [[0, 255]], "PNG", "L"),
    "1-bit PNG, black transparent": (
        encode(np.array([[True, False]]), transparency=0),
        [[255, 255]],
        "PNG",
        "1",
    ),
    "RGB PNG, one colour transparent": (
        encode(RED_BLUE, transparency=(0, 0, 255)),
        [[[255, 0, 0], [255, 255, 255]]],
        "PNG",
        "RGB",
    ),
    "PNG without its end": (encode(GREY)[:-12], GREY, "PNG", "L"),
    "BMP": (encode(COLOUR, "BMP"), COLOUR, "BMP", "RGB"),
    "GIF": (encode(RED_BLUE, "GIF"), RED_BLUE, "GIF", "P"),
    "grey GIF": (encode(np.uint8([[0, 1, 2, 3]]), "GIF"), [[0, 1, 2, 3]], "GIF", "L"),
    "WebP": (encode(COLOUR, "WEBP", lossless=True), COLOUR, "WEBP", "RGB"),
    "WebP with alpha": (
        encode(image_of("RGBA", *RGBA), "WEBP", lossless=True, exact=True),
        [[[255] * 3, [200, 100, 50], [227, 177, 152]]],
        "WEBP",
        "RGBA",
    ),
    "TIFF": (encode(COLOUR, "TIFF"), COLOUR, "TIFF", "RGB"),
    "16-bit TIFF": (encode(np.uint16([[0x1234, 0xFFFF]]), "TIFF"), [[0x12, 0xFF]], "TIFF", "I;16"),
    "PGM": (b"P5 2 1 255\n\x05\xfa", [[5, 250]], "PPM", "L"),
    "PPM": (b"P6 1 1 255\n\x05\xfa\x07", [[[5, 250, 7]]], "PPM", "RGB"),
    # No ink is white; full magenta and yellow are red.
    "CMYK TIFF": (
        encode(image_of("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)), "TIFF"),
        [[[255, 255, 255], [255, 0, 0]]],
        "TIFF",
        "CMYK",
    ),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_converted_to_png(name):
    data, pixels, kind, mode = CONVERTED[name]
    measured = measure(data, MANY)
    assert measured.data != data
    np.testing.assert_array_equal(decode(measured.data), pixels)
    assert measured.data.startswith(b"\x89PNG")
    assert (measured.format, measured.mode) == (kind, mode)
    assert (measured.height, measured.width) == np.shape(pixels)[:2]


def test_cmyk_jpeg():
    ink = PIL.Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    measured = measure(encode(ink, "JPEG", quality=100), MANY)
    assert (measured.format, measured.mode, measured.channels) == ("JPEG", "CMYK", 3)
    red = np.broadcast_to([255, 0, 0], (16, 16, 3))
    np.testing.assert_allclose(decode(measured.data), red, atol=2)


def test_what_is_converted_keeps_no_metadata():
    data = encode(image_of("LA", *GREY_ALPHA), exif=PIL.Image.Exif().tobytes() + b"secret", dpi=(3, 3))
    assert b"secret" in data
    assert [kind for _, kind, _ in chunks(measure(data, MANY).data)] == [b"IHDR", b"IDAT", b"IEND"]


# EXIF says at which side of the picture the first row and the first column of the file belong.
PLAIN = 40 * np.uint8([[1, 2, 3], [4, 5, 6]])
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],  # top, left
    2: [[3, 2, 1], [6, 5, 4]],  # top, right
    3: [[6, 5, 4], [3, 2, 1]],  # bottom, right
    4: [[4, 5, 6], [1, 2, 3]],  # bottom, left
    5: [[1, 4], [2, 5], [3, 6]],  # left, top
    6: [[4, 1], [5, 2], [6, 3]],  # right, top
    7: [[6, 3], [5, 2], [4, 1]],  # right, bottom
    8: [[3, 6], [2, 5], [1, 4]],  # left, bottom
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_made_upright(kind, orientation):
    pixels = np.kron(PLAIN, np.ones((16, 16), np.uint8))  # so that JPEG can tell blocks apart
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    data = with_orientation(pixels, kind, orientation, **options)
    measured = measure(data, MANY)
    expected = np.kron(40 * np.array(UPRIGHT[orientation]), np.ones((16, 16)))
    found = decode(measured.data).reshape(*expected.shape, -1)[..., 0]
    np.testing.assert_allclose(found, expected, atol=2 if kind == "JPEG" else 0)
    assert (measured.height, measured.width) == expected.shape
    assert (measured.data == data) == (orientation == 1 and kind in ("PNG", "JPEG"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_facts_are_those_of_the_pixels(channels, kind):
    data = encode(noise(40, 33, channels, seed=3), kind)
    measured = measure(data, MANY)
    pixels = decode(data).reshape(-1, channels).astype(np.int64)
    assert measured.pixel_sum == pixels.sum(0).tolist()
    assert measured.pixel_square_sum == (pixels**2).sum(0).tolist()
    luma = pixels @ ([1] if channels == 1 else [0.299, 0.587, 0.114])
    assert measured.brightness == pytest.approx(luma.mean(), abs=1e-6)


def test_facts_by_hand():
    # One red and one blue pixel: sums 255, 0, 255; squares 65025; luma (0.299 + 0.114) * 255 / 2.
    measured = measure(encode(RED_BLUE), MANY)
    assert measured.pixel_sum == [255, 0, 255]
    assert measured.pixel_square_sum == [65025, 0, 65025]
    assert measured.brightness == 52.6575


def test_facts_of_what_is_converted_are_those_of_what_is_stored():
    measured = measure(CONVERTED["LA PNG"][0], MANY)
    assert measured.pixel_sum == [255 + 100 + 177]
    assert measured.pixel_square_sum == [255**2 + 100**2 + 177**2]
    assert (measured.brightness, measured.channels) == (pytest.approx(532 / 3, abs=1e-6), 1)


@pytest.mark.parametrize("name", [*STORED, *CONVERTED])
def test_what_is_stored_the_graph_can_decode(name):
    data = (STORED.get(name) or CONVERTED[name])[0]
    measured = measure(data, MANY)
    shape = (measured.height, measured.width, measured.channels)
    pixels = tf.io.decode_image(measured.data, measured.channels, expand_animations=False).numpy()
    assert pixels.shape == shape
    # Decoders of JPEG may differ a little.
    atol = 5 if measured.data.startswith(b"\xff\xd8") else 0
    np.testing.assert_allclose(pixels, decode(measured.data).reshape(shape), atol=atol)


# === sharpness and names ===


@pytest.mark.parametrize("shape", [(9, 7), (3, 3), (40, 33)])
def test_sharpness_against_scipy(shape):
    pixels = noise(*shape, seed=5)
    kernel = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]
    edges = scipy.signal.convolve2d(pixels.astype(int), kernel, "valid")
    assert measure(encode(pixels), MANY).sharpness == pytest.approx(edges.std(), abs=1e-4)


@pytest.mark.parametrize("pixels", [np.full((9, 9), 7, np.uint8), GREY[:2], GREY[:, :2], GREY[:1, :1]])
def test_nothing_is_sharp_in(pixels):
    assert measure(encode(pixels), MANY).sharpness == 0


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("a.jpg", "JPEG", False),
        ("a.JPEG", "JPEG", False),
        ("a.jpe", "JPEG", False),
        ("a.jfif", "JPEG", False),
        ("a.jpg", "PNG", True),
        ("a.png", "JPEG", True),
        ("a.PNG", "PNG", False),
        ("a.tif", "TIFF", False),
        ("a.tiff", "JPEG", True),
        ("a.pgm", "PPM", False),
        ("a.bmp", "BMP", False),
        ("a.gif", "PNG", True),
        ("a.webp", "WEBP", False),
        ("train/00000001", "PNG", False),  # no extension says nothing
        ("a.dat", "PNG", False),
        ("a.png.dat", "JPEG", False),
        ("png/a", "JPEG", False),
    ],
)
def test_names_that_say_another_format(name, kind, expected):
    assert contradicts(name, kind) == expected


# === large JPEGs, which are measured at a smaller scale ===


def photo(height=480, width=640, seed=0):
    """Pixels with a spectrum as of photographs: its amplitude falls with frequency; and a little noise."""
    dice = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width) * width
    fall = 1 / np.maximum(1, np.hypot(rows, columns)) ** 1.5
    layers = [
        np.fft.irfft2(np.fft.rfft2(dice.normal(size=(height, width))) * fall, (height, width))
        for _ in range(3)
    ]
    shared = np.stack([layers[0] + 0.3 * layer for layer in layers], -1)
    scaled = 125 + 50 * (shared - shared.mean()) / shared.std() + dice.normal(0, 2, shared.shape)
    return scaled.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 90}])
@pytest.mark.parametrize("size", [(480, 640), (1201, 1603), (330, 320)])
def test_facts_of_a_large_jpeg(size, options):
    pixels = photo(*size)
    for source in (pixels, pixels[..., 0]):
        data = encode(source, "JPEG", **options)
        small, full = measure(data, MANY * 4), measure(data, MANY * 4, side=10**6)
        assert small.data is full.data is data
        assert (small.width, small.height) == (full.width, full.height) == size[::-1]
        count = size[0] * size[1]
        for channel in range(full.channels):
            means = [found.pixel_sum[channel] / count for found in (small, full)]
            squares = [found.pixel_square_sum[channel] / count for found in (small, full)]
            stds = [np.sqrt(square - mean**2) for square, mean in zip(squares, means, strict=True)]
            assert means[0] == pytest.approx(means[1], abs=0.5)
            assert stds[0] == pytest.approx(stds[1], rel=0.06)
        assert small.brightness == pytest.approx(full.brightness, abs=0.5)
        exact = decode(data).reshape(count, -1).astype(np.int64)
        assert full.pixel_sum == exact.sum(0).tolist()


def verdict(data, side):
    try:
        return measure(data, MANY, side).data
    except RejectedError as no:
        return no.reason


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 40}])
def test_damage_in_a_large_jpeg_is_found_at_a_smaller_scale(options):
    """What is cut or overwritten anywhere is judged as if all pixels were computed."""
    data = encode(photo(), "JPEG", **options)
    for tenth in range(1, 10):
        place = len(data) * tenth // 10
        assert verdict(data[:place], 160) == "truncated"
        for junk in (bytes(64), b"\xff" * 64, bytes(range(100, 164))):
            damaged = data[:place] + junk + data[place + 64 :]
            small, full = verdict(damaged, 160), verdict(damaged, 10**6)
            assert small == full
    assert verdict(data[:-2], 160) == verdict(data[:-2], 10**6)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_large_jpeg_is_made_upright_at_full_scale(orientation):
    pixels = photo(330, 650)[..., 0]
    data = with_orientation(pixels, "JPEG", orientation)
    measured = measure(data, MANY)
    expected = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(measured.data), expected)
    assert (measured.height, measured.width) == expected.shape
    assert measured.orientation == orientation
    assert measured.brightness == pytest.approx(expected.mean(), abs=0.5)


@pytest.mark.parametrize("mode", ["CMYK", "RGB"])
def test_a_large_jpeg_that_is_stored_anew_keeps_its_size(mode):
    data = encode(PIL.Image.fromarray(photo(330, 650)).convert(mode), "JPEG")
    data = data if mode == "CMYK" else data[:2] + b"\xff\0" + data[2:]  # stray bytes, which not all forgive
    measured = measure(data, MANY)
    assert measured.data.startswith(b"\x89PNG")
    expected = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(measured.data), expected)
    assert (measured.width, measured.height) == (650, 330)
    assert measured.pixel_sum == expected.astype(int).sum((0, 1)).tolist()


# === two ways to sum pixels ===


@pytest.mark.parametrize("side", [1, 3, 32, 64, 65])
def test_a_small_jpeg_is_measured_as_its_pixels_in_a_png_are(side):
    """A small JPEG takes the short way, the same pixels as PNG the long one: the facts are the same."""
    data = encode(noise(side, side, 3, seed=side), "JPEG", quality=95)
    small = measure(data, MANY)
    assert small.data == data
    pixels = simplejpeg.decode_jpeg(data).astype(np.int64)
    by_pillow = measure(encode(pixels.astype(np.uint8)), MANY)
    for fact in ("pixel_sum", "pixel_square_sum", "brightness", "sharpness", "fingerprint"):
        assert getattr(small, fact) == getattr(by_pillow, fact), fact
    assert small.pixel_sum == pixels.sum(axis=(0, 1)).tolist()
    assert small.pixel_square_sum == (pixels**2).sum(axis=(0, 1)).tolist()
