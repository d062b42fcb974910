import pytest
import tensorflow as tf
from small_images import class_files, write_files

from conveyor.components.artifacts import Examples, Model
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.pusher.golden import compare_with_newest
from conveyor.components.pusher.push import describe, push
from conveyor.pipeline.artifacts import seal


class Toy(tf.Module):
    """Answers with the first byte of each image, in several ways."""

    def __init__(self, shift, limit, extra):
        super().__init__()
        self._shift, self._limit, self._extra = shift, limit, extra

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def serve(self, images):
        length = tf.strings.length(images)
        return {
            "score": tf.cast(length, tf.float32) + self._shift,
            "name": tf.where(length > self._limit, "long", "short"),
            "kept": length,
            **dict.fromkeys(self._extra, length),
        }


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    made = Examples(folder / "made")
    made.path.mkdir()
    source = write_files(folder / "source", class_files())
    splits = {"train": 0.5, "validation": 0.0, "test": 0.5}
    ingest(made, ExampleGenSettings(source=f"folder:{source}", splits=splits))
    seal(made, {})
    return made


@pytest.fixture
def make(tmp_path):
    def make(shift=0.0, limit=10**6, extra=()):
        model = Model(tmp_path / f"{shift}-{limit}-{'-'.join(extra)}")
        toy = Toy(shift, limit, extra)
        tf.saved_model.save(toy, str(model.saved_model), signatures={"serving_default": toy.serve})
        seal(model, {})
        return model

    return make


def compare(model, base, examples, count=6):
    return compare_with_newest(model, str(base), examples, "test", count)


def test_difference_is_told_per_output(make, examples, tmp_path):
    base = tmp_path / "serving"
    push(make(), str(base), {}, 5)
    found = compare(make(shift=0.25, limit=0), base, examples)
    assert found == {
        "version": 1,
        "images": 6,
        "problem": "",
        "outputs": {
            "kept": {"changed": 0, "largest": None},
            "name": {"changed": 6, "largest": None},
            "score": {"changed": 6, "largest": 0.25},
        },
    }
    assert describe(found) == (
        "of 6 images, answered unlike version 1: kept 0, name 6, score 6 (by up to 0.25)"
    )


def test_rounding_is_no_change(make, examples, tmp_path):
    push(make(), str(tmp_path / "serving"), {}, 5)
    found = compare(make(shift=1e-7), tmp_path / "serving", examples)
    assert {output["changed"] for output in found["outputs"].values()} == {0}


def test_outputs_of_one_alone_are_changed(make, examples, tmp_path):
    push(make(extra=("old",)), str(tmp_path / "serving"), {}, 5)
    found = compare(make(extra=("new",)), tmp_path / "serving", examples, 3)
    alone = {"changed": 3, "largest": None}
    assert (found["outputs"]["old"], found["outputs"]["new"]) == (alone, alone)


def test_nothing_to_compare_with(make, examples, tmp_path):
    base = tmp_path / "serving"
    model = make()
    assert compare(model, base, examples) is None
    push(model, str(base), {}, 5)
    assert compare(model, base, examples) is None  # it is this one
    assert compare(make(shift=1.0), base, examples, 0) is None


def test_version_that_cannot_be_asked_is_told(make, examples, tmp_path):
    base = tmp_path / "serving"
    (base / "4").mkdir(parents=True)
    (base / "4" / "saved_model.pb").write_bytes(b"no model")
    found = compare(make(), base, examples)
    assert (found["version"], found["outputs"]) == (4, {})
    assert "cannot be loaded" in found["problem"]
    assert describe(found) == f"version 4 could not be asked: {found['problem']}"
