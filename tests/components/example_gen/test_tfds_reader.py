"""TFDS data sets as a source: one that is on disk, and those that cannot be had."""

import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from small_images import decode, noise
from small_tfds import mask_feature, objects_feature, write_tfds

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.readers import tfds as module
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.pipeline.errors import UserError

LABEL = tfds.features.ClassLabel(names=["cat", "dog"])
PIXELS = [noise(4 + number, 5, 3, seed=number) for number in range(40)]


def write(path, image, splits, label=LABEL):
    """Writes a data set of split -> [(image, label)]."""
    examples = {
        split: [{"image": pixels, "label": number} for pixels, number in pairs]
        for split, pairs in splits.items()
    }
    return write_tfds(path, {"image": image, "label": label}, examples)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    splits = {
        "train": [(pixels, number % 2) for number, pixels in enumerate(PIXELS)],
        "test": [(PIXELS[0], 1)],
        "extra": [(PIXELS[1], -1)],
    }
    image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    return write(tmp_path_factory.mktemp("tfds") / "small", image, splits)


def read(source):
    reader = pickle.loads(pickle.dumps(open_source(source)))  # noqa: S301  as it is sent to workers
    return [example for chunk in reader.chunks() for example in reader.read(chunk)]


def test_all_is_read_in_order(folder):
    examples = read(f"tfds:{folder}")
    found = [(example.key, example.label, example.split) for example in examples]
    train = [(f"train/{number:08d}", ["cat", "dog"][number % 2], "train") for number in range(40)]
    assert found == [("extra/00000000", "", "extra"), ("test/00000000", "dog", "test"), *train]
    for example, pixels in zip(examples[2:], PIXELS, strict=True):
        np.testing.assert_array_equal(decode(example.data), pixels)


def test_classes_and_splits(folder):
    reader = open_source(f"tfds:{folder}")
    assert reader.classes() == ["cat", "dog"]
    assert reader.splits() == {"train", "test", "extra"}


def test_chunks_are_parts_of_splits(folder, monkeypatch):
    monkeypatch.setattr(module, "_SHARD", 15)
    reader = open_source(f"tfds:{folder}")
    assert reader.chunks()[2:] == [("train", 0, 15), ("train", 15, 30), ("train", 30, 40)]
    examples = read(f"tfds:{folder}")
    assert [example.key for example in examples[2:]] == [f"train/{number:08d}" for number in range(40)]
    np.testing.assert_array_equal(decode(examples[2 + 33].data), PIXELS[33])


def test_ingested(folder, tmp_path):
    examples = Examples(tmp_path)
    ingest(examples, ExampleGenSettings(source=f"tfds:{folder}", max_quarantine=0.1))
    facts = examples.properties
    assert (facts["classes"], facts["channels"], facts["read"]) == (["cat", "dog"], 3, 42)
    assert (sum(facts["splits"].values()), facts["splits"]["test"]) == (41, 1)
    assert set(facts["splits"]) <= {"train", "validation", "test"}
    (row,) = examples.quarantine()
    assert (row["file"], row["reason"], row["detail"]) == ("extra/00000000", "unknown_class", "class ''")


def test_fingerprint_is_of_the_content(folder, tmp_path):
    def fingerprint(path):
        return open_source(f"tfds:{path}").fingerprint(tmp_path)

    image = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
    blank = np.zeros((4, 4, 1), np.uint8)
    one = write(tmp_path / "one", image, {"train": [(blank, 0)]})
    same = write(tmp_path / "same", image, {"train": [(blank, 0)]})
    other = write(tmp_path / "other", image, {"train": [(blank, 1)]})  # as many examples, as many bytes
    assert fingerprint(one) == fingerprint(same)
    assert len({fingerprint(one), fingerprint(other), fingerprint(folder)}) == 3


def test_fingerprint_of_a_name(tmp_path, monkeypatch):
    """A name with its version stands for its content, and nothing needs to be read."""

    def builder(name, count):
        info = tfds.core.SplitInfo(name="train", shard_lengths=[count], num_bytes=7, filename_template=None)

        class Builder:
            class info:  # noqa: N801
                features = tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": LABEL})
                full_name = name
                splits = {"train": info}

            def download_and_prepare(self):
                pass

        return Builder()

    found = set()
    for name, count in (("mnist/3.0.1", 5), ("mnist/3.0.2", 5), ("mnist/3.0.2", 6), ("mnist/3.0.1", 5)):
        monkeypatch.setattr(tfds, "builder", lambda _, name=name, count=count: builder(name, count))
        found.add(open_source("tfds:mnist").fingerprint(tmp_path))
    assert len(found) == 3


def test_16_bits(tmp_path):
    image = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
    pixels = np.uint16([[0x1234, 0xFFFF]])
    folder = write(tmp_path / "deep", image, {"train": [(pixels[..., None], 0)]})
    (example,) = read(f"tfds:{folder}")
    np.testing.assert_array_equal(decode(example.data), pixels)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (tfds.features.Image(shape=(4, 4, 1), dtype=np.float32), LABEL),
        (tfds.features.Tensor(shape=(4, 4, 1), dtype=np.uint8), LABEL),
        (tfds.features.Image(), tfds.features.Scalar(np.int64)),
    ],
)
def test_without_labelled_images(tmp_path, image, label):
    pixels = np.zeros((4, 4, 1), getattr(image, "np_dtype", np.uint8))
    pixels = np.zeros((4, 4, 3), np.uint8) if image.shape[-1] == 3 else pixels
    folder = write(tmp_path / "odd", image, {"train": [(pixels, 0)]}, label)
    with pytest.raises(UserError, match="has no labelled images") as caught:
        open_source(f"tfds:{folder}").classes()
    assert "label" in caught.value.received


BOX = tfds.features.BBoxFeature()
XYWH = tfds.features.BBoxFeature(bbox_format="XYWH")


@pytest.mark.parametrize(
    "features",
    [
        {"picture": tfds.features.Image(), "label": LABEL},
        {"image": tfds.features.Image(), "category": LABEL},
        {"image": tfds.features.Image(), "objects": tfds.features.Sequence({"box": BOX, "label": LABEL})},
        {"image": tfds.features.Image(), "objects": tfds.features.Sequence({"bbox": BOX, "name": LABEL})},
        {"image": tfds.features.Image(), "objects": tfds.features.Sequence({"bbox": XYWH, "label": LABEL})},
        {"image": tfds.features.Image(), "objects": tfds.features.Sequence(LABEL)},
        {"image": tfds.features.Image(), "segmentation_mask": tfds.features.Image()},  # of colours
        {"image": tfds.features.Image(), "mask": tfds.features.LabeledImage(labels=["a"])},
    ],
)
def test_features_that_are_not_known(features, tmp_path):
    source = write_tfds(tmp_path / "data", features, {"train": []})
    with pytest.raises(UserError, match="has no labelled images") as caught:
        open_source(f"tfds:{source}").classes()
    assert all(name in caught.value.received for name in features)
    assert "`segmentation_mask`" in caught.value.expected


def test_parts_that_are_known(tmp_path):
    features = {"image": tfds.features.Image(), "label": LABEL}
    odd = {"is_crowd": np.int64, "is_difficult": tfds.features.Tensor(shape=(2,), dtype=np.bool_)}
    features["objects"] = objects_feature(**odd, segmentation=np.int64, id=np.int64)
    features["segmentation_mask"] = mask_feature()
    reader = open_source(f"tfds:{write_tfds(tmp_path / 'data', features, {'train': []})}")
    assert reader.annotations == {"label", "objects", "mask"}
    assert reader.object_parts == ["bbox", "label", "is_crowd"]
    assert reader.mask_classes() == reader.classes() == ["cat", "dog"]


@pytest.mark.parametrize(("name", "first"), [("mnist", "0"), ("fashion_mnist", "T-shirt/top")])
def test_names_that_tfds_knows(monkeypatch, name, first):
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", lambda builder: None)
    names = open_source(f"tfds:{name}").classes()
    assert (names[0], len(names)) == (first, 10)


def test_a_name_that_is_none():
    with pytest.raises(UserError, match="the data set cannot be had") as caught:
        open_source("tfds:mnits").classes()
    assert caught.value.received == "tfds:mnits"
    assert "mnits" in caught.value.where
    assert "folder:DIR" in caught.value.fix


@pytest.mark.parametrize("name", ["", "no/such/folder", "mnist:9.9.9"])
def test_other_names_that_are_none(name):
    with pytest.raises(UserError, match="the data set cannot be had"):
        open_source(f"tfds:{name}").chunks()


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError(""), ValueError("a\nb")])
def test_without_a_network(monkeypatch, error):
    class Builder:
        def download_and_prepare(self):
            raise error

    monkeypatch.setattr(tfds, "builder", lambda name: Builder())
    with pytest.raises(UserError, match="the data set cannot be had") as caught:
        open_source("tfds:mnist").splits()
    assert caught.value.where == str(error).partition("\n")[0]


def test_a_folder_of_the_same_name_is_not_mistaken_for_it(tmp_path, monkeypatch):
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(tfds, "builder", asked.append)
    with pytest.raises(UserError):
        open_source("tfds:mnist").classes()
    assert asked == ["mnist"]
