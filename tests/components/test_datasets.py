"""TFDS data sets in place: what is read of them is what a copy of them holds."""

import logging

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging as absl_logging
from small_images import decode, noise
from small_tfds import NAMES, box, image_feature, mask_feature, objects_feature, write_tfds

from conveyor.components.artifacts import Examples
from conveyor.components.datasets import as_unicode, read_split
from conveyor.components.example_gen.frames import run_lengths
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.readers.tfds import TFDSReader
from conveyor.components.example_gen.settings import ExampleGenSettings, SplitSettings
from conveyor.components.facts import read_facts
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.errors import UserError

LABEL = tfds.features.ClassLabel(names=NAMES)
SIZE = (12, 20)  # height, width
# Of 6 pixels: 24 others, then 6; and the rest.
OUTLINE = run_lengths({"size": [*SIZE], "counts": [24, 6, 210]}, 20, 12)["counts"]


def example(number, **parts):
    return {"image": noise(*SIZE, 3, seed=number), **parts}


def labelled(number):
    return example(number, label=-1 if number == 5 else number % 2)


def found_objects(number, count=None):
    boxes = [(1, 2, 6, 9), (3, 5, 12, 20), (0, 0, 4, 4)][: number % 4 if count is None else count]
    return [{"bbox": box(*sides, *SIZE), "label": (number + i) % 2} for i, sides in enumerate(boxes)]


def with_objects(number):
    return example(number, objects=found_objects(number))


def with_all(number):
    """Objects with all parts that are known, a mask, and parts that nobody asks for."""
    objects = [
        {
            **found,
            "is_crowd": i == 1,
            "is_difficult": i == 2,
            "area": 99,
            "id": i,
            "segmentation": b"" if i else OUTLINE,
        }
        for i, found in enumerate(found_objects(number))
    ]
    mask = noise(*SIZE, seed=number)[..., None] % 2
    mask[0, :3] = 255
    return example(number, label=number % 2, objects=objects, segmentation_mask=mask, note=f"{number}")


FEATURES = {
    "label": (labelled, {"image": image_feature(), "label": LABEL}),
    "objects": (with_objects, {"image": image_feature(), "objects": objects_feature()}),
    "all": (
        with_all,
        {
            "image": image_feature(),
            "label": LABEL,
            "objects": objects_feature(
                is_crowd=np.bool_, is_difficult=np.bool_, area=np.int64, id=np.int64,
                segmentation=tfds.features.Text(),
            ),
            "segmentation_mask": mask_feature(),
            "note": tfds.features.Text(),
        },
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Name -> data set with a training split of 40 in three shards, and a test split."""
    found = {}
    for name, (make, features) in FEATURES.items():
        splits = {"train": [make(n) for n in range(40)], "test": [make(n) for n in range(40, 47)]}
        found[name] = write_tfds(tmp_path_factory.mktemp("tfds") / name, features, splits)
    return found


def bring_in(source, out, **settings):
    out.mkdir()
    examples = Examples(out)
    ingest(examples, ExampleGenSettings(source=f"tfds:{source}", max_quarantine=1, **settings))
    return examples


def records(examples):
    return [path.name for path in examples.dataset_dir.iterdir()]


def contents(examples):
    """Returns split -> examples, as plain values."""
    return {
        split: [
            tf.nest.map_structure(lambda value: value.tolist() if hasattr(value, "tolist") else value, found)
            for found in read_split(examples, split).as_numpy_iterator()
        ]
        for split in examples.properties["splits"]
    }


@pytest.mark.parametrize(
    ("name", "stratify"),
    [
        ("label", False),
        ("all", True),
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in ("objects", "all")),
    ],
)
def test_in_place_is_as_if_copied(sources, name, stratify, tmp_path, monkeypatch):
    splits = SplitSettings(train=0.5, validation=0.5, test=0, stratify=stratify)
    here = bring_in(sources[name], tmp_path / "here", splits=splits)
    assert here.properties["in_place"] == str(sources[name])
    assert records(here) == []
    monkeypatch.setattr(TFDSReader, "in_place", "")
    copy = bring_in(sources[name], tmp_path / "copy", splits=splits)
    assert "in_place" not in copy.properties
    assert {k: v for k, v in here.properties.items() if k != "in_place"} == copy.properties
    assert copy.properties["splits"].keys() == {"train", "validation", "test"}
    assert (
        read_facts(here, ["key", "objects", "mask_pixels", "label"])
        .sort_by("key")
        .equals(read_facts(copy, ["key", "objects", "mask_pixels", "label"]).sort_by("key"))
    )
    expected = contents(copy)
    for split, examples in contents(here).items():
        keys = [found["id"].decode() for found in examples]
        assert keys == read_facts(here, ["key"], split)["key"].to_pylist(), "in the order of the facts"
        assert sorted(examples, key=_id) == sorted(expected[split], key=_id)
        assert len(examples) == len(read_split(here, split))
    specs = [read_split(found, "train").element_spec for found in (here, copy)]
    kinds = [tf.nest.map_structure(lambda spec: spec.dtype, spec) for spec in specs]
    assert kinds[0] == kinds[1]


def _id(found):
    return found["id"]


def test_what_is_left_out(sources, tmp_path):
    examples = bring_in(sources["label"], tmp_path / "out")
    (row,) = examples.quarantine()
    assert (row["file"], row["reason"]) == ("train/00000005", "unknown_class")
    ids = {found["id"].decode() for split in contents(examples).values() for found in split}
    assert ids == {f"train/{n:08d}" for n in range(40)} - {row["file"]} | {f"test/{n:08d}" for n in range(7)}
    assert {i for i in ids if i.startswith("test")} == {f["id"].decode() for f in contents(examples)["test"]}


def test_in_place_is_the_same_every_time(sources, tmp_path):
    made = [bring_in(sources["all"], tmp_path / f"{run}") for run in range(2)]
    assert len({seal(examples, {"stage": "example_gen", "key": "key"}) for examples in made}) == 1


def test_a_relative_path_is_found_from_anywhere(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(sources["label"].parent)
    examples = bring_in("label", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    assert len(contents(examples)["test"]) == 7


def test_what_was_copied_can_be_used_in_place(sources, tmp_path, monkeypatch):
    """An artifact is a TFDS data set like any other; outlines are read from it too."""
    monkeypatch.setattr(TFDSReader, "in_place", "")
    copy = bring_in(sources["all"], tmp_path / "copy")
    monkeypatch.undo()
    again = bring_in(copy.dataset_dir, tmp_path / "again")
    assert again.properties["in_place"] == str(copy.dataset_dir)
    assert again.properties["mask_classes"] == NAMES
    tested = contents(again)["test"]
    assert len(tested) == 7
    for number, found in enumerate(tested, 40):  # 6 pixels of an outline; the others are boxes
        assert found["objects"]["area"] == [6, 9 * 15, 4 * 4][: number % 4]
        assert found["objects"]["segmentation"] == [OUTLINE, b"", b""][: number % 4]


# === copied after all ===


@pytest.fixture
def told():
    """Collects what is logged."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = absl_logging.get_absl_logger()
    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.INFO)
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
    absl_logging.set_verbosity(level)


def outside(number):
    """Of an object whose box has no height."""
    objects = found_objects(number, 2)
    objects[0]["bbox"] = box(3, 2, 3, 9, *SIZE)
    return example(number, objects=objects)


@pytest.mark.parametrize(
    ("make", "features", "changed"),
    [
        (
            lambda n: {"image": np.full((4, 5, 1), 256 * n, np.uint16), "label": n % 2},
            {"image": image_feature(1, dtype=np.uint16), "label": LABEL},
            6,
        ),
        (lambda n: outside(n) if n == 3 else with_objects(n), FEATURES["objects"][1], 1),
    ],
)
def test_copied_where_something_must_change(make, features, changed, tmp_path, told):
    source = write_tfds(tmp_path / "data", features, {"train": [make(n) for n in range(6)]})
    examples = bring_in(source, tmp_path / "out", splits=SplitSettings(train=1, validation=0, test=0))
    assert "in_place" not in examples.properties
    assert f"tfds:{source} is copied, as it cannot be used in place: {changed} images" in "".join(told)
    assert "examples-train.tfrecord-00000-of-00001" in records(examples)
    stored = contents(examples)["train"]
    assert len(stored) == 6
    if "objects" in features:
        (row,) = examples.quarantine()
        assert (row["file"], row["field"], row["action"]) == ("train/00000003", "objects[0]", "dropped")
        assert len(stored[3]["objects"]["label"]) == 1
    else:
        assert tf.io.decode_image(stored[3]["image"]).numpy().tolist() == np.full((4, 5, 1), 3).tolist()


def hostile(counts):
    def make(number):
        objects = [{**found, "segmentation": counts} for found in found_objects(number, 1)]
        return example(number, objects=objects)

    return make


@pytest.mark.parametrize(
    ("counts", "area"), [(b"13" * 9, 35), (b"\xff\xfe", 35), (b"oooooooooooo0", 35), (b"`7", 35)]
)
def test_outlines_that_are_none(counts, area, tmp_path):
    """240 pixels are to be covered; run lengths of others reach no decoder, and the box is kept."""
    features = {"image": image_feature(), "objects": objects_feature(segmentation=tfds.features.Text())}
    source = write_tfds(tmp_path / "data", features, {"train": [hostile(counts)(n) for n in range(3)]})
    examples = bring_in(source, tmp_path / "out")
    rows = examples.quarantine()
    assert {(row["field"].partition(".")[2], row["reason"]) for row in rows} == {
        ("segmentation", "malformed")
    }
    assert len(rows) == 3
    for found in read_facts(examples, ["objects"])["objects"].to_pylist():
        assert [thing["area"] for thing in found] == [area]


# === masks ===


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["sky", "sea"], ["sky", "sea"]), (None, ["class_0", "class_1"]), (2, ["0", "1"])],
)
def test_classes_of_masks(labels, expected, tmp_path):
    features = {"image": image_feature(), "segmentation_mask": mask_feature(labels)}
    masks = [noise(*SIZE, seed=n)[..., None] % 2 for n in range(4)]
    masks[0][0] = 255
    data = [example(n, segmentation_mask=mask) for n, mask in enumerate(masks)]
    source = write_tfds(tmp_path / "data", features, {"train": data})
    examples = bring_in(source, tmp_path / "out")
    assert examples.properties["mask_classes"] == examples.properties["classes"] == expected
    assert examples.properties["annotations"] == ["mask"]
    for row in read_facts(examples, ["key", "mask_pixels"]).to_pylist():
        mask = masks[int(row["key"][-1])]
        assert row["mask_pixels"] == [(mask == 0).sum(), (mask == 1).sum(), (mask == 255).sum()]


def test_masks_that_do_not_fit(tmp_path):
    features = {"image": image_feature(), "segmentation_mask": mask_feature(NAMES)}
    masks = [np.zeros((*SIZE, 1)), np.zeros((5, 5, 1)), np.full((*SIZE, 1), 7)]
    data = [example(n, segmentation_mask=mask.astype(np.uint8)) for n, mask in enumerate(masks)]
    source = write_tfds(tmp_path / "data", features, {"train": data})
    examples = bring_in(source, tmp_path / "out")
    assert [row["reason"] for row in examples.quarantine()] == ["mask_size", "mask_index"]
    assert sum(examples.properties["splits"].values()) == 1


# === splits that are not there, text ===


def test_a_split_that_is_not_there(sources, tmp_path):
    examples = bring_in(sources["label"], tmp_path / "out")
    with pytest.raises(UserError, match="no split 'vadilation'") as caught:
        read_split(examples, "vadilation")
    assert "'validation'" in caught.value.fix
    examples.properties["splits"]["extra"] = 0
    with pytest.raises(UserError, match="'extra' of the data is empty"):
        read_split(examples, "extra")


def test_as_unicode():
    texts = np.array([["naïve".encode(), b"\xff"], [b"", b"a"]], object)
    assert as_unicode(texts).tolist() == [["naïve", "\\xff"], ["", "a"]]
    numbers = np.arange(3)
    assert as_unicode(numbers) is numbers


# === images alone, and splits that are mended ===


def test_images_by_name(sources):
    keys = ["train/00000021", "test/00000002", "train/00000000", "train/00000039"]
    found = list(TFDSReader(str(sources["label"])).images(keys))
    assert [key for key, _ in found] == sorted(keys)
    for key, data in found:
        number = int(key[-2:]) + 40 * key.startswith("test")
        np.testing.assert_array_equal(decode(data), noise(*SIZE, 3, seed=number))


def test_resplit_in_place(tmp_path):
    def make(number):
        small = PIL.Image.fromarray(noise(6, 6, 3, seed=number))
        image = np.asarray(small.resize((64, 64), PIL.Image.Resampling.BICUBIC))
        return {"image": image, "label": number % 2}

    splits = {"train": [make(n) for n in range(12)], "test": [make(n) for n in (30, 3, 31)]}
    source = write_tfds(tmp_path / "data", {"image": image_feature(), "label": LABEL}, splits)
    shares = SplitSettings(train=1, validation=0, test=0)
    examples = bring_in(source, tmp_path / "out", splits=shares, resplit=True)
    assert examples.properties["in_place"]
    ids = [found["id"].decode() for found in contents(examples)["test"]]
    assert ids == [*(f"test/{n:08d}" for n in range(3)), "train/00000003"]
    assert read_facts(examples, ["key"], "test")["key"].to_pylist() == ids
