import numpy as np
import pytest
import tensorflow as tf
from small_run import CLASSES, COUNTS, training

from conveyor.components.datasets import read_split
from conveyor.components.trainer import inputs
from conveyor.components.trainer.inputs import evaluation_input, training_input
from conveyor.components.transform.graph import load
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError

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
    assert distances.min(axis=1).max() < 1e-6
    np.testing.assert_array_equal(targets, reference[1][order])
    return order.tolist()


@pytest.mark.usefixtures("cache")
def test_evaluation_input_is_the_split_in_order_as_it_is_served(run):
    images, targets = collect(evaluation_input(run.examples, run.graph, TASK, "test", 7))
    wanted = expected(run, "test")
    np.testing.assert_allclose(images, wanted[0], atol=1e-6)
    np.testing.assert_array_equal(targets, wanted[1])
    assert images.dtype == np.float32
    assert images.shape == (30, 12, 10, 1)


@pytest.mark.usefixtures("cache")
def test_training_input_is_every_example_once_an_epoch_in_orders_of_the_seed(run):
    reference = expected(run, "train")
    batches = training_input(run.examples, run.graph, TASK, training(seed=3))
    epochs = [order_of(batches, reference) for _ in range(2)]
    assert [sorted(order) for order in epochs] == [list(range(TRAIN))] * 2
    assert epochs[0] != epochs[1]
    assert list(range(TRAIN)) not in epochs
    again = training_input(run.examples, run.graph, TASK, training(seed=3))
    assert [order_of(again, reference) for _ in range(2)] == epochs
    assert order_of(training_input(run.examples, run.graph, TASK, training(seed=4)), reference) != epochs[0]


def test_batches_are_full_but_for_the_last(run):
    sizes = [len(targets) for _, targets in training_input(run.examples, run.graph, TASK, training(seed=0))]
    assert sizes == [10, 10, 10, 10, 8]


@pytest.mark.parametrize(("room", "reach"), [(120 * 4, 4), (120 * 1000, TRAIN)])
def test_large_images_are_shuffled_in_a_smaller_buffer(run, monkeypatch, room, reach):
    monkeypatch.setattr(inputs, "_SHUFFLE_BYTES", room)  # an image has 120 bytes
    order = order_of(training_input(run.examples, run.graph, TASK, training(seed=0)), expected(run, "train"))
    assert all(example <= place + reach - 1 for place, example in enumerate(order))
    assert max(example - place for place, example in enumerate(order)) >= min(reach, 20) - 1


# === augmentation ===

MIRRORED = [{"random_flip": {"mode": "horizontal"}}, {"random_brightness": {"factor": [0.2, 0.2]}}]


def augmented(run, augment, seed=0, epochs=1, batch_size=10):
    settings = training(seed=seed, batch_size=batch_size).model_copy(update={"augment": augment})
    batches = training_input(run.examples, run.graph, TASK, settings)
    return [collect(batches) for _ in range(epochs)]


@pytest.mark.usefixtures("cache")
def test_augmented_input_is_the_same_for_a_seed_and_other_each_epoch(run):
    shift = [{"random_translation": {"height_factor": 0.3, "width_factor": 0.3}}]
    one = augmented(run, shift, seed=1, epochs=2)
    again = augmented(run, shift, seed=1, epochs=2)
    for (images, targets), (same_images, same_targets) in zip(one, again, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(targets, same_targets)
    (first, _), (second, _) = one
    assert first.shape == second.shape == (TRAIN, 12, 10, 1)
    assert not set(map(bytes, first)) & set(map(bytes, second))
    assert not set(map(bytes, first)) & set(map(bytes, augmented(run, shift, seed=2)[0][0]))


def test_augmentation_is_of_pixels_and_normalisation_comes_after(run):
    originals, _ = expected(run, "train")
    ((images, _),) = augmented(run, MIRRORED)
    document = run.graph.read()
    mean, std = document["mean"][0], document["std"][0]
    pixels = originals[..., 0] * std + mean
    both = np.clip(np.concatenate([pixels, pixels[:, :, ::-1]]) + 0.2 * 255, 0, 255)
    nearest = abs(both[None] - (images[:, None, :, :, 0] * std + mean)).max(axis=(2, 3))
    assert nearest.min(axis=1).max() < 0.01
    chosen = nearest.argmin(axis=1)
    assert sorted(chosen % TRAIN) == list(range(TRAIN))
    assert 5 < (chosen >= TRAIN).sum() < TRAIN - 5  # some are mirrored, and some are not


def test_only_training_is_augmented(run):
    first, second = (
        collect(evaluation_input(run.examples, run.graph, TASK, "validation", 5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_allclose(first[0], expected(run, "validation")[0], atol=1e-6)


@pytest.mark.parametrize("layer", [{"random_flop": {}}, {"random_flip": {"modus": "horizontal"}}])
def test_wrong_augmentation_is_a_user_error(run, layer):
    with pytest.raises(UserError, match="wrong augmentation") as caught:
        augmented(run, [layer])
    assert "augment" in caught.value.where
