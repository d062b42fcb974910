import numpy as np
import pytest

from conveyor.components.label_errors.appearance import SHAPE, SIDE, edges, moments
from conveyor.components.label_errors.judge import held_out, is_skilled, judge


def blobs(count, classes, seed=0):
    """Features that tell classes apart, in random order."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % classes)
    shape = np.zeros((count, SHAPE), np.float32)
    shape[np.arange(count), labels] = 1
    return shape + random.normal(0, 0.02, shape.shape).astype(np.float32), labels


def test_edges_tell_directions_and_forget_contrast():
    ramp = np.tile(np.arange(SIDE, dtype=np.uint8) * 4, (SIDE, 1))
    found = edges(np.stack([ramp, ramp // 2, ramp.T, np.full_like(ramp, 9)]))
    by_direction = found.reshape(4, 8, -1)
    assert by_direction[0, 0].min() > 0
    assert by_direction[0, 1:].max() == 0  # brightness grows to the right alone
    np.testing.assert_allclose(found[0], found[1], atol=0.02)
    assert by_direction[2, 2].min() > 0  # and there downwards
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0], atol=1e-5)


def test_edges_do_not_depend_on_how_many_there_are(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (7, SIDE, SIDE), np.uint8)
    whole = edges(images)
    monkeypatch.setattr("conveyor.components.label_errors.appearance._CHUNK", 3)
    np.testing.assert_array_equal(edges(images), whole)


def test_moments_are_those_of_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 50, 3)).astype(float)
    found = moments(pixels.sum(1), (pixels**2).sum(1), np.array([50, 50]))
    np.testing.assert_allclose(found, np.concatenate([pixels.mean(1), pixels.std(1)], axis=1), rtol=1e-5)


def test_an_example_is_not_judged_by_a_model_that_saw_it():
    """Each example has a mark of its own, which gives its label away to whoever saw it; else it is chance."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 200)
    features = np.zeros((200, SHAPE), np.float32)
    features[np.arange(200), np.arange(200)] = 1
    chances = held_out(features, labels, np.arange(200) % 5, 2)
    assert (chances.argmax(1) == labels).mean() < 0.65


def test_copies_of_an_example_do_not_judge_it():
    random = np.random.default_rng(0)
    bundles = np.repeat(np.arange(100), 4)
    features = np.zeros((400, SHAPE), np.float32)
    features[np.arange(400), bundles] = 1
    labels = np.repeat(random.integers(0, 2, 100), 4)
    assert judge(features, labels, bundles) is None  # chance, though copies would tell
    assert judge(features, labels, np.arange(400)) is not None


def test_planted_labels_are_found_and_others_left_alone():
    features, labels = blobs(300, 3)
    spoilt = labels.copy()
    spoilt[[5, 50, 100]] = (spoilt[[5, 50, 100]] + 1) % 3
    verdict = judge(features, spoilt, np.arange(300))
    worst = verdict.rows[verdict.worst_first(np.ones(300, bool))]
    assert set(worst) == {5, 50, 100}
    np.testing.assert_array_equal(verdict.likely[worst], labels[worst])
    assert verdict.balanced_accuracy == pytest.approx(0.99, abs=0.002)
    assert verdict.noise == pytest.approx(0.01, abs=0.005)


def test_classes_of_few_groups_and_unlabelled_examples_are_left_out():
    features, labels = blobs(90, 3)
    bundles = np.arange(90)
    bundles[labels == 2] = 1000  # one group
    labels[:5] = -1
    verdict = judge(features, labels, bundles)
    assert verdict.classes == 2
    assert set(verdict.rows) == set(np.flatnonzero(np.isin(labels, [0, 1])))


@pytest.mark.parametrize(("count", "classes"), [(0, 1), (5, 2), (40, 1)])
def test_too_little_to_judge_by(count, classes):
    features, labels = blobs(count, classes)
    assert judge(features, labels, np.arange(count)) is None


def test_a_fold_without_a_class_gives_it_no_chance():
    features, labels = blobs(60, 3)
    folds = np.where(labels == 2, 0, np.arange(60) % 5)
    chances = held_out(features, labels, folds, 3)
    assert chances[folds == 0, 2].max() < 0.01
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-4)


def test_skill_is_half_way_from_chance():
    assert is_skilled(0.75, 2)
    assert not is_skilled(0.74, 2)
    assert is_skilled(0.55, 10)
    assert not is_skilled(0.54, 10)
