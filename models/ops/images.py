"""Encoded images and pixels, in a graph. The one place that says how an image is decoded and resized."""

import typing

import tensorflow as tf

from conveyor.models.ops.frames import Frame, fit_size, frame_of
from conveyor.models.ops.upright import is_png, read_pixels


def decode_image(data: tf.Tensor, size: tuple[int, int], channels: int) -> tf.Tensor:
    """Decodes an image and stretches it.

    Args:
        data: string [], a PNG or JPEG; for 3 channels also a GIF or BMP.
        size: (height, width) of the result, in pixels.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 [height, width, channels].
    """
    return decode_framed(data, size, channels)[0]


def decode_framed(
    data: tf.Tensor,
    size: tuple[int, int],
    channels: int,
    resize: str = "stretch",
    fill: typing.Sequence[int] = (),
    stored: bool = True,
) -> tuple[tf.Tensor, Frame]:
    """Decodes and resizes one image.

    Args:
        data: As of `decode_image`.
        size: (height, width) of the result, in pixels; plays no part where `resize` is "none".
        channels: 1 for grey, 3 for RGB.
        resize: "stretch"; "letterbox": by one scale, so that all of it fits, then padded at the bottom
            and the right; or "none".
        fill: Colour of the padding, per channel, in [0, 255].
        stored: Whether the image is as ingestion leaves it: upright and opaque. Others may be neither;
            to find out costs time.

    Returns:
        uint8 [height, width, channels]; and the frame of the one image.
    """
    pixels = (
        tf.io.decode_image(data, channels, expand_animations=False) if stored else read_pixels(data, channels)
    )
    pixels.set_shape([None, None, channels])
    own = tf.shape(pixels)[:2]
    if resize == "none":
        return pixels, frame_of(own, own)
    fitted = fit_size(own, size) if resize == "letterbox" else tf.constant(size)
    same = tf.reduce_all(own == fitted)
    pixels = tf.cond(same, lambda: pixels, lambda: _resize(pixels, fitted))
    if resize == "letterbox":
        pixels = pad(pixels, size, fill)
    return tf.ensure_shape(pixels, [*size, channels]), frame_of(own, fitted)


def _resize(pixels: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    resized = tf.image.resize(pixels, size, antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def pad(pixels: tf.Tensor, size: typing.Any, fill: typing.Sequence[int]) -> tf.Tensor:
    """Pads an image at the bottom and the right.

    Args:
        pixels: uint8 [height, width, channels].
        size: (height, width), int32 [2], of the result; no smaller.
        fill: Colour of the padding, per channel.
    """
    missing = tf.convert_to_tensor(size) - tf.shape(pixels)[:2]
    # padding with one number is what TensorFlow does, so the colour is taken off first; uint8 wraps
    colour = tf.constant(fill, tf.uint8)
    padded = tf.pad(pixels - colour, [[0, missing[0]], [0, missing[1]], [0, 0]])
    return padded + colour


def padded_size(sizes: tf.Tensor, stride: int) -> tf.Tensor:
    """Returns the least height and width that holds all images and is a multiple of a stride, int32 [2].

    Args:
        sizes: int32 [n, 2], heights and widths.
        stride: In pixels.
    """
    largest = tf.reduce_max(tf.concat([sizes, [[1, 1]]], 0), 0)  # there may be none
    return -(-largest // stride) * stride


def image_size(data: tf.Tensor) -> tf.Tensor:
    """Returns height and width of one encoded image, int32 [2]; a PNG or JPEG is not decoded for it.

    Args:
        data: string [], as of `decode_image`.
    """

    def of_png() -> tf.Tensor:  # width and height are where the first chunk begins
        sides = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.int32, little_endian=False)
        return tf.ensure_shape(sides, [2])[::-1]

    def of_any() -> tf.Tensor:
        return tf.shape(tf.io.decode_image(data, expand_animations=False))[:2]

    cases = [
        (tf.io.is_jpeg(data), lambda: tf.image.extract_jpeg_shape(data)[:2]),
        (is_png(data), of_png),
    ]
    return tf.case(cases, of_any)


def add_noise(images: tf.Tensor, deviation: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds Gaussian noise, and keeps values in [0, 1].

    Args:
        images: float32 of any shape, in [0, 1].
        deviation: Standard deviation of the noise.
        seed: int32 [2]; decides the noise.
    """
    noise = tf.random.stateless_normal(tf.shape(images), seed, stddev=deviation)
    return tf.clip_by_value(images + noise, 0.0, 1.0)


def encode_noisy(data: tf.Tensor, deviation: float, key: tf.Tensor) -> tf.Tensor:
    """Returns an encoded image with noise, always the same for a key.

    Args:
        data: string [], an encoded image of 1 or 3 channels.
        deviation: Standard deviation of the noise, of pixels in [0, 1].
        key: string [], such as the example's id.

    Returns:
        string [], a PNG.
    """
    pixels = tf.cast(tf.io.decode_image(data, expand_animations=False), tf.float32) / 255.0
    seed = tf.stack([tf.strings.to_hash_bucket_fast(key, 2**31 - 1), 0])
    noisy = add_noise(pixels, deviation, tf.cast(seed, tf.int32))
    return tf.io.encode_png(tf.cast(tf.round(noisy * 255.0), tf.uint8))
