"""Pictures of what a model sees: chosen well, drawn the same every time."""

import json
import time

import keras
import numpy as np
import PIL.Image
import pytest
from keras import layers

from conveyor.components.artifacts import Model as Artifact
from conveyor.components.model_card.figures import draw
from conveyor.components.model_card.pictures import Album
from conveyor.components.trainer.explain import explain
from conveyor.components.trainer.plots import write_plots
from conveyor.models.model import Model
from conveyor.models.ops.frames import whole_frame
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task

TASK = make_task(ClassificationSettings(), ["dark", "bright"])


def bright_or_not(height=12, width=10, channels=1):
    """Answers "bright" where the mean is above 0.5."""
    image = keras.Input((height, width, channels))
    maps = layers.Conv2D(9, 3, padding="same", name="maps", kernel_initializer="ones")(image)
    logits = layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(maps))
    model = Model(image, logits)
    weights = np.zeros((9, 2), np.float32)
    weights[:, 1] = 1
    model.get_layer("logits").set_weights([weights, np.array([0, -9 * 8 * 0.5 * channels], np.float32)])
    return model


def batch(means, height=12, width=10, channels=1):
    pixels = np.stack([np.full((height, width, channels), mean, np.uint8) for mean in means])
    pixels[:, ::3] //= 2
    return pixels, pixels.astype(np.float32) / 255


def explained(model, task, pixels, inputs, truth, folder):
    frame = {name: values.numpy() for name, values in whole_frame(inputs).items()}
    return explain(model, task, pixels, inputs, frame, truth, folder)


def test_the_most_wrong_and_the_least_wrong_are_shown(tmp_path):
    pixels, inputs = batch([0, 250, 240, 255])
    plots = explained(bright_or_not(), TASK, pixels, inputs, np.array([0, 1, 0, 0]), tmp_path)
    assert [plot["title"] for plot in plots] == [
        "Where the answer comes from",
        "Feature maps",
        "First filters",
    ]
    for plot in plots[:2]:
        captions = [item["caption"] for item in plot["items"]]
        assert len(captions) == 3
        assert captions[0].startswith("is dark")
        assert "taken for bright (0.9" in captions[0] or "taken for bright (1.0" in captions[0]
        assert [caption.split()[1] for caption in captions[1:]] == ["dark", "bright"]


def test_the_card_draws_the_plots(tmp_path):
    pixels, inputs = batch([0, 250])
    artifact = Artifact(tmp_path)
    write_plots(artifact, explained(bright_or_not(), TASK, pixels, inputs, np.array([0, 1]), tmp_path))
    plots = json.loads(artifact.plots_file.read_text("utf-8"))
    for plot in plots:
        figure = draw(plot, tmp_path, Album(24))
        assert len(figure.pictures) == len(plot["items"])
        assert all(picture["src"] for picture in figure.pictures)
    sheet = PIL.Image.open(tmp_path / plots[1]["items"][0]["file"])
    assert sheet.size == (504, 56)  # the image and 8 channels
    pair = np.asarray(PIL.Image.open(tmp_path / plots[0]["items"][1]["file"]))
    assert pair.shape == (128, 2 * 107, 3)
    np.testing.assert_array_equal(pair[:, :107].max(axis=2), pair[:, :107].min(axis=2))  # as it is: grey
    assert (pair[:, 107:, 0] > pair[:, 107:, 2]).any()  # and with red over it


def test_pictures_are_the_same_every_time(tmp_path):
    pixels, inputs = batch([0, 99, 250], channels=3)
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        truth = np.array([0, 1, 1])
        plots = explained(bright_or_not(channels=3), TASK, pixels, inputs, truth, tmp_path / name)
        files = sorted((tmp_path / name).rglob("*.png"))
        found.append((plots, [file.read_bytes() for file in files]))
    assert found[0] == found[1]
    assert len(found[0][1]) == 7


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_examples_than_places(tmp_path, count):
    pixels, inputs = batch([0, 250][:count])
    plots = explained(bright_or_not(), TASK, pixels, inputs, np.array([0, 1][:count]), tmp_path)
    assert [len(plot["items"]) for plot in plots] == [count, count, 1]


def test_nothing_to_show(tmp_path):
    pixels, inputs = batch([0])
    assert explained(bright_or_not(), TASK, pixels[:0], inputs[:0], np.array([]), tmp_path) == []
    image = keras.Input((12, 10, 1))
    model = Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(image)))
    assert explained(model, TASK, pixels, inputs, np.array([0]), tmp_path) == []


def test_large_images_take_no_longer_than_that(tmp_path):
    pixels, inputs = batch([0, 200, 250, 251, 252, 253], 1024, 768, 3)
    began = time.perf_counter()
    plots = explained(bright_or_not(1024, 768, 3), TASK, pixels, inputs, np.ones(6, int), tmp_path)
    assert time.perf_counter() - began < 20  # some seconds, on a machine with other work
    assert PIL.Image.open(tmp_path / plots[0]["items"][0]["file"]).size == (192, 128)
