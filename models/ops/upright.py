"""EXIF orientation and transparency of encoded images, in a graph: what is served is given files as they are.

Stored examples have neither (`conveyor.components.example_gen.images`): for them nothing here has an effect.
"""

from collections.abc import Callable

import tensorflow as tf

_ORIENTATION = 0x0112  # the EXIF tag
_SEGMENTS = 32  # of a JPEG before its picture that are looked at
_ENTRIES = 512  # of EXIF's first directory
_HEAD = 1 << 16  # bytes of a PNG in which transparency is told
_PAD = b"\0" * 16  # so that what is read lies within, whatever lengths a broken file tells


def orientation(data: tf.Tensor) -> tf.Tensor:
    """Returns EXIF's orientation of an image, int32 [], 1 to 8; 1 where a file has none.

    Args:
        data: string [], an encoded image. Of JPEGs alone is EXIF read.

    Source: JEITA CP-3451, "Exchangeable image file format for digital still cameras", 2002, 4.6.
    """
    padded = tf.strings.join([data, _PAD])

    def goes_on(at: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        other = _substr(padded, at + 4, 6) != b"Exif\0\0"
        return _is_application(padded, at) & other & (count < _SEGMENTS)

    def skip(at: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return at + 2 + _number(padded, at + 2, 2, False), count + 1

    at, _ = tf.while_loop(goes_on, skip, (tf.constant(2, tf.int64), 0))
    found = _is_application(padded, at) & (_substr(padded, at + 4, 6) == b"Exif\0\0")
    return tf.cond(found, lambda: _of_tiff(padded, at + 10), lambda: tf.constant(1))


def _is_application(data: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Whether a segment for applications, or a comment, begins there: what may stand before EXIF."""
    marker = _number(data, at, 2, False)
    return ((marker >= 0xFFE0) & (marker <= 0xFFEF)) | (marker == 0xFFFE)


def _of_tiff(data: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Reads the first directory of what begins there, a TIFF header."""
    little = _substr(data, start, 2) == b"II"
    directory = start + _number(data, start + 4, 4, little)
    room = (_length(data) - directory - 2) // 12
    count = tf.clip_by_value(tf.minimum(_number(data, directory, 2, little), room), 0, _ENTRIES)
    entries = tf.reshape(_bytes(data, directory + 2, 12 * count), [-1, 12])
    order = tf.where(little, tf.constant([1, 256], tf.int64), tf.constant([256, 1], tf.int64))
    tags, values = (tf.reduce_sum(entries[:, low : low + 2] * order, 1) for low in (0, 8))
    value = tf.reduce_max(tf.where(tags == _ORIENTATION, values, 1), 0)
    return tf.where((value >= 1) & (value <= 8), tf.cast(value, tf.int32), 1)


def _number(data: tf.Tensor, at: tf.Tensor, size: int, little: tf.Tensor | bool) -> tf.Tensor:
    """Returns a whole number of `size` bytes, int64 []."""
    found = _bytes(data, at, size)
    found = tf.where(little, found[::-1], found)
    return tf.reduce_sum(found * tf.constant([256**place for place in reversed(range(size))], tf.int64))


def _bytes(data: tf.Tensor, at: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(_substr(data, at, size), tf.uint8), tf.int64)


def _substr(data: tf.Tensor, at: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    size = tf.cast(size, tf.int64)
    return tf.strings.substr(data, tf.clip_by_value(at, 0, tf.maximum(_length(data) - size, 0)), size)


def _length(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.strings.length(data), tf.int64)


def turn(pixels: tf.Tensor, how: tf.Tensor) -> tf.Tensor:
    """Returns an image upright.

    Args:
        pixels: [height, width, channels].
        how: int32 [], EXIF's orientation, 1 to 8.
    """

    def changed(pixels: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor], *values: int) -> tf.Tensor:
        among = tf.reduce_any(how == tf.constant(values))
        return tf.cond(among, lambda: change(pixels), lambda: pixels)

    pixels = changed(pixels, lambda image: tf.transpose(image, [1, 0, 2]), 5, 6, 7, 8)
    pixels = changed(pixels, lambda image: image[:, ::-1], 2, 3, 6, 7)
    return changed(pixels, lambda image: image[::-1], 3, 4, 7, 8)


def read_pixels(data: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes one image: upright, and transparency of a PNG blended onto white.

    Args:
        data: string [], a PNG or JPEG; for 3 channels also a GIF or BMP.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 [height, width, channels].
    """

    def plain() -> tf.Tensor:
        return tf.io.decode_image(data, channels, expand_animations=False)

    def jpeg() -> tf.Tensor:
        pixels, how = plain(), orientation(data)
        return tf.cond(how > 1, lambda: turn(pixels, how), lambda: pixels)

    def other() -> tf.Tensor:
        return tf.cond(_may_have_alpha(data), lambda: _on_white(data, channels), plain)

    return tf.ensure_shape(tf.cond(tf.io.is_jpeg(data), jpeg, other), [None, None, channels])


def is_png(data: tf.Tensor) -> tf.Tensor:
    """Whether an encoded image, string [], is a PNG, bool []."""
    return tf.strings.substr(data, 0, 8) == b"\x89PNG\r\n\x1a\n"


def _may_have_alpha(data: tf.Tensor) -> tf.Tensor:
    """Whether an image is a PNG with alpha or a colour that is transparent, bool []; rarely so without."""
    head = tf.strings.substr(data, 0, _HEAD)
    colour_type = tf.strings.substr(tf.strings.join([head, b"\0" * 26]), 25, 1)
    is_told = tf.size(tf.strings.split([head], b"tRNS").flat_values) > 1
    has_channel = (colour_type == b"\x04") | (colour_type == b"\x06")
    return is_png(head) & (has_channel | is_told)


def _on_white(data: tf.Tensor, channels: int) -> tf.Tensor:
    """Blends as Pillow's alpha_composite does, to the last bit."""
    pixels = tf.cast(tf.io.decode_png(data, 4), tf.int32)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    scaled = 128 * (colour * alpha + 255 * (255 - alpha)) + 16384
    blended = tf.cast((((scaled // 256) + scaled) // 256) // 128, tf.uint8)
    return tf.io.decode_png(tf.io.encode_png(blended), channels)  # grey as of any other PNG
