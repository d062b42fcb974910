"""The preprocessing graph: the same eagerly, within tf.data and from the saved model."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from small_images import class_files, decode, encode, noise, with_orientation, write_files

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.datasets import read_split
from conveyor.components.example_gen.images import measure
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.statistics_gen.compute import compute_statistics
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.transform.fit import fit
from conveyor.components.transform.graph import Preprocessing, load, save
from conveyor.components.transform.settings import TransformSettings
from conveyor.components.transform.stage import transform

SIZE = (6, 5)
GREY, COLOUR = noise(*SIZE), noise(*SIZE, 3)
MEAN, STD = {1: [10.0], 3: [10.0, 20.0, 30.0]}, {1: [2.0], 3: [2.0, 4.0, 8.0]}

FILL = {1: [7], 3: [7, 8, 250]}


def document(channels=3, size=SIZE, resize="stretch"):
    height, width = size
    mean, std = MEAN[channels], STD[channels]
    shape = {"height": height, "width": width, "channels": channels}
    return {**shape, "mean": mean, "std": std, "resize": resize, "stride": 4, "fill": FILL[channels]}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Returns the preprocessing, and what comes of saving and loading it."""
    made = {}

    def make(**how):
        key = json.dumps(how)
        if key not in made:
            path = tmp_path_factory.mktemp("graph") / "saved_model"
            save(document(**how), path)
            made[key] = (Preprocessing(document(**how)), load(path))
        return made[key]

    return make


IMAGES = {
    "grey PNG": (encode(GREY), GREY),
    "RGB PNG": (encode(COLOUR), COLOUR),
    "grey JPEG": (encode(GREY, "JPEG"), decode(encode(GREY, "JPEG"))),
    "RGB JPEG": (encode(COLOUR, "JPEG"), decode(encode(COLOUR, "JPEG"))),
}


def as_channels(pixels, channels):
    """Returns float64 [height, width, channels]; grey of RGB is luma."""
    pixels = pixels.astype(np.float64)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], channels, axis=2)
    return pixels if channels == 3 else pixels @ np.array([[0.299], [0.587], [0.114]])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", IMAGES)
def test_decode(make, name, channels):
    data, pixels = IMAGES[name]
    for module in make(channels=channels):
        found = module.decode(data).numpy()
        assert (found.shape, found.dtype) == ((*SIZE, channels), np.uint8)
        # Decoders of JPEG may differ a little; luma is rounded or cut.
        atol = 5 if name.endswith("JPEG") else 1 if pixels.ndim == 3 and channels == 1 else 0
        np.testing.assert_allclose(found.astype(float), as_channels(pixels, channels), atol=atol)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_normalize_by_hand(make, channels, kind):
    pixels = np.full((2, *SIZE, channels), 50, kind)
    # (50 - 10) / 2, (50 - 20) / 4, (50 - 30) / 8.
    expected = [20.0, 7.5, 2.5][:channels]
    for module in make(channels=channels):
        found = module.normalize(tf.constant(pixels)).numpy()
        assert (found.shape, found.dtype) == (pixels.shape, np.float32)
        assert (found == expected).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [SIZE, (9, 4)])
def test_the_same_wherever_it_runs(make, channels, size):
    data = [image for image, _ in IMAGES.values()]
    eager, loaded = make(channels=channels, size=size)
    expected = eager.preprocess(tf.constant(data))[0].numpy()
    assert expected.shape == (4, *size, channels)
    np.testing.assert_array_equal(loaded.preprocess(tf.constant(data))[0].numpy(), expected)
    for module in (eager, loaded):
        dataset = tf.data.Dataset.from_tensor_slices(data)
        one_by_one = dataset.map(module.decode).batch(4).map(module.normalize)
        assert one_by_one.element_spec.shape.as_list() == [None, *size, channels]
        np.testing.assert_array_equal(next(iter(one_by_one)).numpy(), expected)
        at_once = dataset.batch(3).map(module.preprocess)
        np.testing.assert_array_equal(np.concatenate([batch.numpy() for batch, _ in at_once]), expected)


def test_an_empty_batch(make):
    for module in make():
        assert module.preprocess(tf.constant([], tf.string))[0].shape == (0, *SIZE, 3)


def test_resize_by_hand(make):
    """From 16 to 2 pixels the weight of a pixel falls from 1 to 0 over 8 pixels from the new centre.

    Of the near half the weights are 0.5625 + 0.6875 + 0.8125 + 0.9375, twice: 6. Of the far half
    0.4375 + 0.3125 + 0.1875 + 0.0625: 1. So the quarters count 36, 6, 6 and 1 of 49.
    """
    quarters = np.kron(np.uint8([[0, 100], [200, 255]]), np.ones((8, 8), np.uint8))
    # (600 + 1200 + 255) / 49 = 41.9; (3600 + 200 + 1530) / 49 = 108.8; 8830 / 49 = 180.2; 10980 / 49 = 224.1.
    expected = [[42, 109], [180, 224]]
    for module in make(size=(2, 2)):
        found = module.decode(encode(quarters)).numpy()
        np.testing.assert_array_equal(found, np.repeat(np.array(expected)[..., None], 3, axis=2))


def test_resize_keeps_what_is_even_and_in_order(make):
    for module in make(size=(2, 2)):
        assert module.decode(encode(np.full((7, 3), 93, np.uint8))).numpy().ravel().tolist() == [93] * 12
    for module in make(channels=1, size=(4, 4)):
        larger = module.decode(encode(np.uint8([[0, 255]]))).numpy()[..., 0]
        assert larger.shape == (4, 4)
        assert (np.diff(larger.astype(int)) >= 0).all()
        assert (larger[0, 0], larger[0, -1]) == (0, 255)


def test_shrinking_looks_at_all_pixels(make):
    """Without antialiasing a fine pattern would come out black, or white."""
    for module in make(channels=1, size=(8, 8)):
        pattern = np.indices((64, 64)).sum(0) % 2 * 255
        found = module.decode(encode(pattern.astype(np.uint8))).numpy()
        np.testing.assert_allclose(found, 127.5, atol=6)


def test_letterbox_by_hand(make):
    """A 2x4 image fits in 6x5 by 1.25: 2 rows and a half are 2 (of two evens the even one), 5 columns."""
    for module in make(channels=1, resize="letterbox"):
        pixels, frame = module.read(encode(np.full((2, 4), 93, np.uint8)))
        assert pixels.numpy()[..., 0].tolist() == [[93] * 5] * 2 + [[7] * 5] * 4
        assert frame["sizes"].numpy().tolist() == [2, 4]
        assert frame["scales"].numpy().tolist() == [1.0, 1.25]
        assert module.frame(encode(np.full((2, 4), 93, np.uint8)))["scales"].numpy().tolist() == [1.0, 1.25]


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "none"])
def test_frames_and_inputs_of_images_of_several_sizes(make, resize):
    images = [noise(*SIZE, 3), noise(3, 9, 3, seed=1), noise(11, 2, 3, seed=2)]
    for module in make(resize=resize):
        inputs, frame = module.preprocess(tf.constant([encode(image) for image in images]))
        assert frame["sizes"].numpy().tolist() == [[6, 5], [3, 9], [11, 2]]
        valid = np.rint(frame["sizes"].numpy() * frame["scales"].numpy()).astype(int).tolist()
        # Into 6x5 by 5/9: 1.67 rows are 2; by 6/11: 1.09 columns are 1. Padded to multiples of 4: 12x12.
        fitted = {
            "stretch": [[6, 5]] * 3,
            "letterbox": [[6, 5], [2, 5], [6, 1]],
            "none": [[6, 5], [3, 9], [11, 2]],
        }
        assert valid == fitted[resize]
        assert inputs.shape == (3, *((12, 12) if resize == "none" else SIZE), 3)
        colour = (np.array(FILL[3]) - MEAN[3]) / STD[3]
        for one, image, (height, width) in zip(inputs.numpy(), images, valid, strict=True):
            assert (one[height:] == colour).all()
            assert (one[:, width:] == colour).all()
            if image.shape[:2] == (height, width):
                np.testing.assert_array_equal(one[:height, :width] * STD[3] + MEAN[3], image)
        assert module.preprocess(tf.constant([], tf.string))[0].shape[0] == 0


def test_decoding_alone_is_what_a_batch_has(make):
    image = noise(3, 9, 3, seed=1)
    for resize in ("stretch", "letterbox", "none"):
        for module in make(resize=resize):
            inputs, _ = module.preprocess(tf.constant([encode(image)]))
            pixels = module.decode(encode(image))
            height, width = pixels.shape[:2]
            np.testing.assert_array_equal(module.normalize(pixels[None])[0], inputs[0, :height, :width])


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "none"])
def test_files_as_cameras_and_tools_make_them_are_served_as_they_would_be_stored(make, resize):
    pixels = np.kron(noise(3, 2, 3), np.ones((8, 8, 1), np.uint8))
    layered = np.dstack([pixels, noise(24, 16)])
    files = [with_orientation(pixels, "JPEG", 6), encode(layered), with_orientation(pixels, "JPEG", 3)]
    stored = [measure(data, 10**6).data for data in files]
    assert not set(files) & set(stored)
    for module in make(resize=resize):
        inputs, frame = module.preprocess(tf.constant(files))
        expected, expected_frame = module.preprocess(tf.constant(stored))
        assert frame["sizes"].numpy().tolist() == [[16, 24], [24, 16], [24, 16]]
        tf.nest.map_structure(np.testing.assert_array_equal, frame, expected_frame)
        # JPEGs are stored as PNG by another decoder
        assert np.abs((inputs - expected) * STD[3]).max() <= 8
        np.testing.assert_array_equal(inputs[1], expected[1])


def test_what_is_no_image(make):
    for module in make():
        with pytest.raises(tf.errors.InvalidArgumentError):
            module.decode(b"no image")
        with pytest.raises(tf.errors.InvalidArgumentError):
            module.preprocess(tf.constant([encode(COLOUR), encode(COLOUR)[:60]]))


@pytest.fixture(scope="module", params=[1, 3])
def data(request, tmp_path_factory):
    """An ingested data set of one size, and its statistics."""
    root = tmp_path_factory.mktemp("data")
    files = class_files(each=60, size=(12, 10), channels=request.param)
    examples = Examples(root / "examples")
    examples.path.mkdir()
    (root / "work").mkdir()
    ingest(examples, ExampleGenSettings(source=f"folder:{write_files(root / 'files', files)}"))
    return examples, compute_statistics(examples, StatisticsGenSettings(), root / "work")


@pytest.mark.parametrize("channels", [None, 3])
def test_standardized_training_data(data, channels):
    examples, statistics = data
    settings = TransformSettings(normalize="standardize", channels=channels)
    module = Preprocessing(fit(statistics, examples.properties["channels"], settings))
    images = [example["image"] for example in read_split(examples, "train").as_numpy_iterator()]
    found = module.preprocess(tf.constant(images))[0].numpy().astype(np.float64)
    assert found.shape[1:3] == (12, 10)
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((0, 1, 2)), 1, atol=1e-5)


def test_rescaled_data_are_shares(data):
    examples, statistics = data
    module = Preprocessing(fit(statistics, examples.properties["channels"], TransformSettings()))
    found = module.preprocess(tf.constant([encode(np.uint8([[0, 255]]))]))[0].numpy()
    assert (found.min(), found.max()) == (0, 1)


def test_the_stage(data, tmp_path):
    examples, statistics = data

    class Given:
        def read(self):
            return statistics

    graph = TransformGraph(tmp_path)
    transform(
        examples=examples,
        statistics=Given(),
        anomalies=None,
        transform_graph=graph,
        settings=TransformSettings(),
        context=None,
    )
    channels = examples.properties["channels"]
    assert graph.read() == fit(statistics, channels, TransformSettings())
    assert load(graph.saved_model).decode(encode(noise(12, 10))).shape == (12, 10, channels)


SAVE = """
import json, pathlib, sys
from conveyor.components.transform.graph import save

save(json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_saved_bytes_are_the_same_in_every_process(tmp_path):
    processes = []
    for seed in ("1", "2"):  # of the order of sets
        command = [sys.executable, "-c", SAVE, json.dumps(document()), str(tmp_path / seed)]
        env = {**os.environ, "PYTHONHASHSEED": seed, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes.append(subprocess.Popen(command, env=env))
    assert [process.wait() for process in processes] == [0, 0]
    first, second = (
        {
            str(path.relative_to(tmp_path / seed)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (tmp_path / seed).rglob("*")
            if path.is_file()
        }
        for seed in ("1", "2")
    )
    assert first == second
    assert "saved_model.pb" in first
