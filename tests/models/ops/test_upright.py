import io

import hypothesis
import hypothesis.strategies as st
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from conveyor.components.example_gen.images import measure
from conveyor.models.ops.upright import orientation, read_pixels, turn

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (6, 4, 3), np.uint8)
EXIF, COMMENT = b"Exif\0\0", b"\xff\xfe\x00\x06abcd"


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(**options):
    return saved(PIL.Image.fromarray(np.kron(PIXELS, np.ones((8, 8, 1), np.uint8))), "JPEG", **options)


def exif(value, **more):
    found = PIL.Image.Exif()
    found.update({0x0112: value, **more})
    return found


def tiff(value, order="little", entries=1, offset=8):
    """A header and a directory that has the orientation last."""
    mark = {"little": b"II*\0", "big": b"MM\0*"}[order]
    filler = (0x0100).to_bytes(2, order) + (3).to_bytes(2, order) + (1).to_bytes(4, order) + bytes(4)
    told = (0x0112).to_bytes(2, order) + (3).to_bytes(2, order) + (1).to_bytes(4, order)
    told += value.to_bytes(2, order) + bytes(2)
    body = entries.to_bytes(2, order) + filler * (entries - 1) + told + bytes(4)
    return mark + offset.to_bytes(4, order) + bytes(offset - 8) + body


def with_segments(*segments):
    """A JPEG with these bytes after its start."""
    return b"\xff\xd8" + b"".join(segments) + jpeg()[2:]


def application(number, content):
    return bytes([0xFF, 0xE0 + number]) + (len(content) + 2).to_bytes(2, "big") + content


graph = tf.function(lambda data: read_pixels(data, 3), input_signature=[tf.TensorSpec([], tf.string)])


def as_ingested(data):
    """Pixels of what is stored of a file."""
    return tf.io.decode_image(measure(data, 10**6).data, 3, expand_animations=False).numpy()


# === orientation ===


@pytest.mark.parametrize("value", range(1, 9))
def test_turned_jpegs_are_read_as_they_are_ingested(value):
    data = jpeg(exif=exif(value), quality=95)
    assert orientation(data).numpy() == value
    found, expected = graph(data).numpy(), as_ingested(data)
    assert found.shape == expected.shape == ((32, 48, 3) if value >= 5 else (48, 32, 3))
    # by another decoder, so that pixels may be apart, but by far less than those that lie elsewhere
    assert np.abs(found.astype(int) - expected).max() <= 8


def test_turn_by_hand():
    # 1 2    a camera turned to the right by 90 degrees (6): what is left below belongs above left
    # 3 4
    pixels = tf.constant([[[1], [2]], [[3], [4]]])
    found = {value: turn(pixels, tf.constant(value)).numpy()[..., 0].tolist() for value in range(1, 9)}
    assert found == {
        1: [[1, 2], [3, 4]],
        2: [[2, 1], [4, 3]],
        3: [[4, 3], [2, 1]],
        4: [[3, 4], [1, 2]],
        5: [[1, 3], [2, 4]],
        6: [[3, 1], [4, 2]],
        7: [[4, 2], [3, 1]],
        8: [[2, 4], [1, 3]],
    }


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("entries", [1, 7])
@pytest.mark.parametrize("offset", [8, 20])
def test_either_byte_order_and_any_place(order, entries, offset):
    content = EXIF + tiff(6, order, entries, offset)
    assert orientation(with_segments(application(1, content))).numpy() == 6


def test_exif_after_other_segments():
    xmp = application(1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    found = with_segments(application(0, b"JFIF\0" + bytes(9)), COMMENT, xmp, application(1, EXIF + tiff(3)))
    assert orientation(found).numpy() == 3


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        with_segments(application(1, EXIF + tiff(0))),
        with_segments(application(1, EXIF + tiff(9))),
        with_segments(application(1, EXIF + tiff(6)[:9])),
        with_segments(application(1, EXIF + b"II*\0\xff\xff\xff\xff")),
        with_segments(application(1, EXIF)),
        with_segments(b"\xff\xe1\xff\xff" + EXIF),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1\x00\x00",
        saved(PIL.Image.fromarray(PIXELS)),
        b"",
    ],
    ids=[
        *(
            "none",
            "zero",
            "nine",
            "cut",
            "far",
            "empty",
            "long",
            "start alone",
            "length zero",
            "png",
            "nothing",
        ),
    ],
)
def test_what_means_nothing_is_1(data):
    assert orientation(data).numpy() == 1


@hypothesis.given(st.binary(max_size=60), st.integers(0, 40))
def test_any_bytes_have_an_orientation(data, cut):
    start = with_segments(application(1, EXIF + tiff(6)))[: 12 + cut]
    assert 1 <= orientation(start + data).numpy() <= 8


# === transparency ===


def layers():
    rgba = RANDOM.integers(0, 256, (9, 7, 4), np.uint8)
    palette = PIL.Image.fromarray(rgba[..., :3]).quantize(8)
    return {
        "rgba": saved(PIL.Image.fromarray(rgba)),
        "grey and alpha": saved(PIL.Image.fromarray(rgba[..., :2], "LA")),
        "palette": saved(palette, transparency=3),
        "colour": saved(PIL.Image.fromarray(rgba[..., :3]), transparency=tuple(map(int, rgba[4, 4, :3]))),
        "grey": saved(PIL.Image.fromarray(rgba[..., 0]), transparency=int(rgba[2, 2, 0])),
        "none": saved(PIL.Image.fromarray(rgba[..., :3])),
        "palette without": saved(palette),
    }


@pytest.mark.parametrize("name", layers())
def test_transparency_is_blended_as_in_ingestion(name):
    data = layers()[name]
    np.testing.assert_array_equal(graph(data), as_ingested(data))


def test_every_alpha_on_every_level():
    level, alpha = np.indices((256, 256)).astype(np.uint8)
    data = saved(PIL.Image.fromarray(np.stack([level, level, level, alpha], -1)))
    np.testing.assert_array_equal(graph(data), as_ingested(data))


def test_grey_of_a_layer_is_that_of_the_blended_image():
    data = layers()["rgba"]
    expected = tf.io.decode_image(measure(data, 10**6).data, 1, expand_animations=False)
    np.testing.assert_array_equal(read_pixels(data, 1), expected)


def test_what_looks_like_transparency_but_is_none_changes_nothing():
    plain = PIL.Image.fromarray(PIXELS)
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("Comment", "tRNS")
    np.testing.assert_array_equal(graph(saved(plain, pnginfo=info)), PIXELS)
