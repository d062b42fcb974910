import hashlib

import numpy as np
import PIL.Image
import pytest

from conveyor.components.model_card.figures import draw
from conveyor.components.model_card.pictures import Album
from conveyor.components.trainer.preview import preview
from conveyor.models.augmentation.augmentation import Augmentation

CLASSES = ["cat", "dog", "cow"]


def batch(channels=3, count=10):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 24, channels)).astype(np.uint8)
    return {"images": pixels, "labels": np.eye(3, dtype=np.float32)[np.arange(count) % 3]}


def annotated():
    images = np.zeros((2, 32, 32, 3), np.uint8)
    boxes = np.array([[[4, 8, 20, 24], [-1, -1, -1, -1]]] * 2, np.float32)
    masks = np.full((2, 32, 32, 1), 255, np.uint8)
    masks[:, 28:] = 2
    found = {"boxes": boxes, "labels": np.array([[1, -1]] * 2, np.int32)}
    return {"images": images, "segmentation_masks": masks, "bounding_boxes": found}


def make(given, layers, folder):
    return preview(given, Augmentation(layers, 1), folder, CLASSES)


@pytest.mark.parametrize("channels", [1, 3])
def test_original_is_first_and_versions_follow(channels, tmp_path):
    given = batch(channels)
    plot = make(given, [{"random_invert": {"factor": [1.0, 1.0]}}], tmp_path)
    assert [item["caption"] for item in plot["items"]] == [
        "cat",
        "dog",
        "cow",
        "cat",
        "dog",
        "cow",
        "cat",
        "dog",
    ]
    with PIL.Image.open(tmp_path / plot["items"][0]["file"]) as strip:
        assert strip.size == (4 * 128 + 3 * 4, 85)
        tiles = [np.asarray(strip)[:, k * 132 : k * 132 + 128] for k in range(4)]
    small = PIL.Image.fromarray(np.broadcast_to(given["images"][0], (16, 24, 3)).copy())
    np.testing.assert_array_equal(tiles[0], small.resize((128, 85), PIL.Image.Resampling.NEAREST))
    for tile in tiles[1:]:
        np.testing.assert_array_equal(tile, 255 - tiles[0])


def test_captions_say_what_was_mixed(tmp_path):
    plot = make(batch(), [{"mix_up": {"alpha": 1.0}}], tmp_path)
    assert any("%" in item["caption"] and "cat" in item["caption"] for item in plot["items"])
    assert all(item["caption"].count(" | ") in (0, 3) for item in plot["items"])


def test_same_bytes_each_time(tmp_path):
    digests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make(batch(), [{"random_rotation": {"factor": 0.2}}], tmp_path / name)
        files = sorted((tmp_path / name).rglob("*.png"))
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 8


def test_boxes_and_masks_are_drawn_where_they_are(tmp_path):
    plot = make(annotated(), [{"random_flip": {"mode": "horizontal"}}], tmp_path)
    with PIL.Image.open(tmp_path / plot["items"][0]["file"]) as strip:
        pixels = np.asarray(strip).astype(int)
    coloured = pixels[:128, :128].sum(axis=2) > 0
    assert coloured[112:].all()  # the mask
    rows, columns = np.nonzero(coloured[:112])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (
        32,
        95,
        16,
        79,
    )  # the box, four times as large
    assert not coloured[40:90, 24:70].any()


def test_small_batches_and_no_classes(tmp_path):
    plot = preview({"images": batch(count=2)["images"]}, Augmentation([], 0), tmp_path, [])
    assert [item["caption"] for item in plot["items"]] == ["", ""]


def test_the_card_draws_it(tmp_path):
    figure = draw(make(batch(), [{"random_flip": {}}], tmp_path), tmp_path, Album(24))
    assert len(figure.pictures) == 8
    assert all(picture["src"].startswith("data:image/") for picture in figure.pictures)
