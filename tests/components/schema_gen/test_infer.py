"""The schema of statistics: what the training split says, in tensorflow_metadata's own fields."""

import pytest

from conveyor.components.schema_gen.features import by_path, domain_of
from conveyor.components.schema_gen.infer import infer_schema

CLASSES = {"猫": 3, 'a "quoted" name': 2, "back\\slash": 1, " spaces ": 1, "none yet": 0}
TRAIN = {
    "examples": 7,
    "classes": CLASSES,
    "formats": {"JPEG": 6, "PNG": 1},
    "modes": {"L": 1, "RGB": 6},
    "width": {"min": 20.0, "max": 30.0},
    "height": {"min": 10.0, "max": 10.0},
    "aspect": {"min": 2.0, "max": 3.0},
    "brightness": {"min": 0.0, "max": 250.0},
    "sharpness": {"min": 1.0, "max": 2.0},
}
TEST = {**TRAIN, "classes": {"猫": 0, "none yet": 5}, "width": {"min": 1.0, "max": 99.0}}
DOCUMENT = {"test": TEST, "train": TRAIN}
OBJECTS = {
    "count": 9,
    "classes": {"cell": 9, "nucleus": 0},
    "per_image": {"min": 1.0, "max": 5.0},
    "size": {"min": 7.777, "max": 90.0},
    "aspect": {"min": 0.5, "max": 2.0},
}


def domains(schema):
    return {domain.name: list(domain.value) for domain in schema.string_domain}


def test_what_the_training_split_says():
    schema = infer_schema(DOCUMENT)
    assert domains(schema) == {
        "label": ["猫", 'a "quoted" name', "back\\slash", " spaces "],
        "format": ["JPEG", "PNG"],
        "mode": ["L", "RGB"],
    }
    features = by_path(schema)
    limits = {path: features[path].int_domain for path in ("width", "height")}
    assert {path: (limit.min, limit.max) for path, limit in limits.items()} == {
        "width": (20, 30),
        "height": (10, 10),
    }
    assert list(features) == [
        *("image", "label", "format", "mode", "width", "height", "aspect", "brightness", "sharpness")
    ]
    assert features["image"].WhichOneof("domain_info") == "image_domain"
    assert domain_of(schema, features["label"]) == domains(schema)["label"]
    for path, feature in features.items():
        if path != "image":
            assert feature.presence.min_fraction == 1
            assert [dim.size for dim in feature.shape.dim] == [1]


@pytest.mark.parametrize("comparator", ["skew_comparator", "drift_comparator"])
def test_what_is_compared(comparator):
    features = by_path(infer_schema({"train": {**TRAIN, "objects": OBJECTS}}))
    measures = {
        path: [field.name for field, _ in getattr(feature, comparator).ListFields()]
        for path, feature in features.items()
        if feature.HasField(comparator)
    }
    classes = ("label", "objects/label")
    numbers = ("width", "height", "aspect", "brightness", "sharpness", "objects/size", "objects/aspect")
    assert measures == {
        **{path: ["infinity_norm"] for path in classes},
        **{path: ["jensen_shannon_divergence"] for path in numbers},
    }
    for path, (measure,) in measures.items():
        assert 0 < getattr(getattr(features[path], comparator), measure).threshold < 1


def test_objects():
    schema = infer_schema({"train": {**TRAIN, "objects": OBJECTS}})
    features = by_path(schema)
    # Images without objects are fine; twice as many as ever seen, and half as small, too.
    count = features["objects"].value_count
    assert (count.HasField("min"), count.min, count.max) == (True, 0, 10)
    assert features["objects/size"].float_domain.min == pytest.approx(3.88)
    assert domain_of(schema, features["objects/label"]) == ["cell"]
    assert features["objects/label"].domain == "objects/label"


def test_no_object_in_the_training_split():
    none = {"count": 0, "classes": {"cell": 0}, "per_image": {"min": 0.0, "max": 0.0}}
    schema = infer_schema({"train": {**TRAIN, "objects": {**none, "size": None, "aspect": None}}})
    features = by_path(schema)
    assert features["objects"].value_count.max == 0
    assert not features["objects/size"].HasField("float_domain")
    assert domain_of(schema, features["objects/label"]) == []


def test_masks():
    mask = {"shares": {}, "images": {"sky": 4, "sea": 0}, "void": 0}
    schema = infer_schema({"train": {"examples": 4, "mask": mask}})
    assert domains(schema) == {"mask/label": ["sky"]}
    assert list(by_path(schema)) == ["image", "mask", "mask/label"]
    assert by_path(schema)["mask"].presence.min_fraction == 1


def test_without_a_training_split_the_first_counts():
    assert domains(infer_schema({"test": TEST}))["label"] == ["none yet"]
    empty = {"train": {"examples": 0}, "validation": {"examples": 0}, "test": TEST}
    assert by_path(infer_schema(empty))["width"].int_domain.max == 99
    assert list(by_path(infer_schema({"train": {"examples": 0}}))) == ["image"]
