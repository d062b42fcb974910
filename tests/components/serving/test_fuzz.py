"""Broken images and requests: each is answered or refused, and the server goes on."""

import base64
import io
import random

import numpy as np
import PIL.Image
import pytest
from served_models import png

pytestmark = pytest.mark.slow
FORMATS = ("PNG", "JPEG", "GIF", "BMP")
ROUNDS = 150


def encoded(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def mutated(data, chance):
    """Returns an image with bytes changed, cut out, doubled or cut off."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.choice([0, 1, 127, 128, 255, data[at] ^ (1 << chance.randrange(8))])
        elif kind == 1:
            del data[at : at + chance.randint(1, 8)]
        elif kind == 2:
            data[at:at] = data[at : at + chance.randint(1, 16)]
        else:
            del data[max(at, 1) :]
    return bytes(data)


def test_mutated_images(start, means):
    client, chance = start({"m": means}), random.Random(0)  # noqa: S311
    right = base64.b64encode(png(10)).decode()
    images = [encoded(kind) for kind in FORMATS]
    refused = 0
    for round_ in range(ROUNDS):
        data = mutated(images[round_ % len(images)], chance)
        body = {"instances": [{"b64": base64.b64encode(data).decode()}]}
        found = client.post("/v1/models/m:predict", body)
        assert found.status_code in (200, 400), (data, found.text)
        refused += found.status_code == 400
        if found.status_code == 400:
            assert "\n" not in found.json()["error"]
            assert "Traceback" not in found.text
    assert refused > ROUNDS / 5
    found = client.post("/v1/models/m:predict", {"instances": [{"b64": right}]})
    assert found.json()["predictions"][0]["mean"] == 110.0


def test_mutated_requests(start, means):
    client, chance = start({"m": means}), random.Random(1)  # noqa: S311
    body = b'{"signature_name": "serving_default", "instances": [{"b64": "%s"}]}' % base64.b64encode(png(10))
    v2 = b'{"inputs": [{"name": "images", "shape": [1], "datatype": "BYTES", "data": ["%s"]}]}'
    v2 %= base64.b64encode(png(10))
    for round_ in range(ROUNDS):
        path, text = (("/v1/models/m:predict", body), ("/v2/models/m/infer", v2))[round_ % 2]
        found = client.post(path, data=mutated(text, chance))
        assert found.status_code in (200, 400), (text, found.text)
