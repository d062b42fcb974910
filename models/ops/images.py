"""Encoded images and pixels, in a graph. The one place that says how an image is decoded and resized."""

import tensorflow as tf


def decode_image(data: tf.Tensor, size: tuple[int, int], channels: int) -> tf.Tensor:
    """Decodes and resizes one image.

    Args:
        data: string [], a PNG or JPEG; for 3 channels also a GIF or BMP.
        size: (height, width) of the result, in pixels.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 [height, width, channels].
    """
    pixels = tf.io.decode_image(data, channels, expand_animations=False)
    pixels.set_shape([None, None, channels])
    same = tf.reduce_all(tf.shape(pixels)[:2] == size)
    pixels = tf.cond(same, lambda: pixels, lambda: _resize(pixels, size))
    return tf.ensure_shape(pixels, [*size, channels])


def _resize(pixels: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    resized = tf.image.resize(pixels, size, antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


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
