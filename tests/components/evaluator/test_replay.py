import threading

import numpy as np
import pytest
import tensorflow as tf
from small_run import CLASSES

from conveyor.components.artifacts import Examples
from conveyor.components.datasets import as_unicode, read_split, replay
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError


def test_split_is_read_in_the_same_order_with_its_bytes(run):
    first, again = (list(read_split(run.examples, "test").as_numpy_iterator()) for _ in range(2))
    assert len(first) == 30
    assert [row["id"] for row in first] == [row["id"] for row in again]
    for row in first:
        name = row["id"].decode()
        split, label, _ = name.split("/")
        assert (split, CLASSES[row["label"]]) == ("test", label)
        assert row["image"] == (run.source / name).read_bytes()


@pytest.mark.parametrize(
    ("split", "said"), [("tset", "did you mean 'test'"), ("dev", "one of: "), ("none", "is empty")]
)
def test_split_that_is_not_there_or_empty_is_a_user_error(run, split, said):
    splits = {**run.examples.properties["splits"], "none": 0}
    examples = Examples(run.examples.path, {**run.examples.properties, "splits": splits})
    with pytest.raises(UserError, match=said):
        read_split(examples, split)


def test_strings_come_back_as_unicode_batch_by_batch(run):
    sizes = []

    def served(images):
        sizes.append(len(images))
        return {"length": tf.strings.length(images), "word": tf.fill([len(images)], "été")}

    task = make_task(ClassificationSettings(), CLASSES)
    task.truth = lambda example: example["label"] + 100
    task.request = lambda example: tf.strings.join(["asked ", example["image"]])
    dataset = read_split(run.examples, "test")
    batches = list(replay(served, dataset, task, 8))
    assert sizes == [8, 8, 8, 6]
    ids = np.concatenate([batch["id"] for batch, _ in batches])
    assert ids.tolist() == [row["id"].decode() for row in dataset.as_numpy_iterator()]
    assert any("größe" in name for name in ids)
    for batch, outputs in batches:
        assert set(batch) == {"id", "image", "truth"}
        assert set(batch["truth"]) <= {100, 101, 102}
        assert all(image.startswith(b"asked ") for image in batch["image"])
        assert outputs["length"].tolist() == [len(image) for image in batch["image"]]
        assert set(outputs["word"]) == {"été"}
        assert outputs["word"].dtype.kind == batch["id"].dtype.kind == "U"


def test_the_next_batch_is_asked_about_while_one_is_judged_and_fails_in_its_place(run):
    asked = [threading.Event() for _ in range(4)]

    def served(images):
        number = sum(event.is_set() for event in asked)
        asked[number].set()
        if number == 2:
            raise ValueError("no answer to the third")
        return {"length": tf.strings.length(images)}

    task = make_task(ClassificationSettings(), CLASSES)
    answers = replay(served, read_split(run.examples, "test"), task, 8)
    for number in range(2):
        next(answers)
        assert asked[number + 1].wait(60)  # without being asked for
    assert not asked[3].is_set()
    with pytest.raises(ValueError, match="no answer to the third"):
        next(answers)
    assert list(answers) == []


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([b"plain"], ["plain"]),
        (["größe/猫.png".encode(), b""], ["größe/猫.png", ""]),
        ([[b"a", "é".encode()]], [["a", "é"]]),
        ([b"\xff.png"], ["\\xff.png"]),  # not UTF-8: still told apart
        ([], []),
    ],
)
def test_bytes_to_unicode(texts, expected):
    found = as_unicode(np.array(texts, object))
    assert found.tolist() == expected
    assert found.dtype.kind == "U"


def test_numbers_are_left_alone():
    numbers = np.array([1.5])
    assert as_unicode(numbers) is numbers
