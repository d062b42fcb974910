import numpy as np
import pytest
import tensorflow as tf
from small_run import CLASSES, COUNTS

from conveyor.components.datasets import read_split
from conveyor.components.trainer import inputs
from conveyor.components.trainer.inputs import evaluation_input, training_input
from conveyor.components.transform.graph import load
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task

TRAIN = COUNTS["train"] * len(CLASSES)
TASK = make_task(ClassificationSettings(), CLASSES)


@pytest.fixture(params=[1 << 30, 0], ids=["kept in memory", "read each epoch"])
def cache(request, monkeypatch):
    monkeypatch.setattr(inputs, "_CACHE_BYTES", request.param)


def expected(run, split):
    """Inputs and targets, made from the stored bytes by the graph that is served."""
    rows = list(read_split(run.examples, split))
    images = load(run.graph.saved_model).preprocess(tf.stack([row["image"] for row in rows])).numpy()
    return images, np.eye(len(CLASSES), dtype=np.float32)[[row["label"].numpy() for row in rows]]


def collect(batches):
    pairs = [(images.numpy(), targets.numpy()) for images, targets in batches]
    return tuple(np.concatenate(parts) for parts in zip(*pairs, strict=True))


def order_of(batches, reference):
    """Returns which example of the reference each row is."""
    images, targets = collect(batches)
    distances = abs(images[:, None] - reference[0][None]).max(axis=(2, 3, 4))
    order = distances.argmin(axis=1)
    assert distances.min(axis=1).max() == 0
    np.testing.assert_array_equal(targets, reference[1][order])
    return order.tolist()


@pytest.mark.usefixtures("cache")
def test_evaluation_input_is_the_split_in_order_as_it_is_served(run):
    images, targets = collect(evaluation_input(run.examples, run.graph, TASK, "test", 7))
    wanted = expected(run, "test")
    np.testing.assert_array_equal(images, wanted[0])
    np.testing.assert_array_equal(targets, wanted[1])
    assert images.dtype == np.float32
    assert images.shape == (30, 12, 10, 1)


@pytest.mark.usefixtures("cache")
def test_training_input_is_every_example_once_an_epoch_in_orders_of_the_seed(run):
    reference = expected(run, "train")
    batches = training_input(run.examples, run.graph, TASK, 10, seed=3)
    epochs = [order_of(batches, reference) for _ in range(2)]
    assert [sorted(order) for order in epochs] == [list(range(TRAIN))] * 2
    assert epochs[0] != epochs[1]
    assert list(range(TRAIN)) not in epochs
    again = training_input(run.examples, run.graph, TASK, 10, seed=3)
    assert [order_of(again, reference) for _ in range(2)] == epochs
    assert order_of(training_input(run.examples, run.graph, TASK, 10, seed=4), reference) != epochs[0]


def test_batches_are_full_but_for_the_last(run):
    sizes = [len(targets) for _, targets in training_input(run.examples, run.graph, TASK, 10, seed=0)]
    assert sizes == [10, 10, 10, 10, 8]


@pytest.mark.parametrize(("room", "reach"), [(120 * 4, 4), (120 * 1000, TRAIN)])
def test_large_images_are_shuffled_in_a_smaller_buffer(run, monkeypatch, room, reach):
    monkeypatch.setattr(inputs, "_SHUFFLE_BYTES", room)  # an image has 120 bytes
    order = order_of(training_input(run.examples, run.graph, TASK, 10, seed=0), expected(run, "train"))
    assert all(example <= place + reach - 1 for place, example in enumerate(order))
    assert max(example - place for place, example in enumerate(order)) >= min(reach, 20) - 1
