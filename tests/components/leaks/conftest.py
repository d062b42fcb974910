import io

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest

from conveyor.components.leaks.fingerprint import fingerprint


def texture(seed, side=64):
    """A picture with the spectrum of natural ones: amplitudes fall with 1/f."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    shaped = np.fft.ifft2(np.fft.fft2(noise) / np.maximum(frequency, 1 / side)).real
    return np.clip(120 + 40 * (shaped - shaped.mean()) / shaped.std(), 0, 255).astype(np.uint8)


def _encoded(image):
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(PIL.Image.open(file))


def _resized(image, factor):
    height, width = image.shape
    size = (round(width * factor), round(height * factor))
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))


def _shifted(image, down, right, mode):
    padded = np.pad(image, 2, mode=mode)
    return np.ascontiguousarray(padded[2 - down :, 2 - right :][: image.shape[0], : image.shape[1]])


COPIES = {
    "jpeg": _encoded,
    "up": lambda image: _resized(image, 1.1),
    "down": lambda image: _resized(image, 0.9),
    "right_edge": lambda image: _shifted(image, 0, 2, "edge"),
    "left_black": lambda image: _shifted(image, 0, -2, "constant"),
    "down_black": lambda image: _shifted(image, 2, 0, "constant"),
    "diagonal": lambda image: _shifted(image, 2, -2, "edge"),
    "brighter": lambda image: np.clip(np.rint(image * 1.1), 0, 255).astype(np.uint8),
}


@pytest.fixture(params=list(COPIES))
def copy(request):
    return COPIES[request.param]


def table_of(images, **columns):
    keys = [f"{number:05d}" for number in range(len(images))]
    rows = {
        "key": keys,
        "split": ["train"] * len(images),
        "label": [0] * len(images),
        "group": [""] * len(images),
        "content_hash": keys,
        "fingerprint": [fingerprint(image) for image in images],
    }
    return pa.table(rows | columns)


@pytest.fixture
def make_table():
    return table_of


@pytest.fixture(scope="session")
def textures():
    return [texture(seed) for seed in range(400)]
