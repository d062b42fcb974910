"""Segmentation: from masks to targets, from logits to class maps, from those to metrics."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.metrics.boundaries import boundary_f1
from conveyor.models.ops.frames import frame_of, whole_frame
from conveyor.models.tasks.settings import SegmentationSettings
from conveyor.models.tasks.task import make_task

NAMES = ["ground", "tree", "road"]
VOID = 255


def make(**settings):
    return make_task(SegmentationSettings(kind="segmentation", **settings), NAMES)


def png(mask):
    return tf.io.encode_png(np.asarray(mask, np.uint8)[..., None]).numpy()


def outputs_of(maps):
    """What is served of maps of several sizes."""
    height, width = np.max([one.shape for one in maps], axis=0)
    padded = np.full((len(maps), height, width), VOID, np.uint8)
    for into, one in zip(padded, maps, strict=True):
        into[: one.shape[0], : one.shape[1]] = one
    return {"class_map": padded, "sizes": np.array([one.shape for one in maps], np.int32)}


TRUTH = [np.array([[0, 0, 1], [0, 1, 1]]), np.array([[2, VOID], [2, 2], [1, 1]])]
FOUND = [np.array([[0, 1, 1], [0, 1, 1]]), np.array([[2, 0], [2, 1], [1, 1]])]


@pytest.fixture
def records():
    return make().record(np.array([png(mask) for mask in TRUTH]), outputs_of(FOUND))


# === training ===


def test_annotations_are_in_pixels_of_the_model():
    mask = np.repeat(np.repeat([[0, 1], [2, VOID]], 2, axis=0), 3, axis=1)  # 4x6
    example = {"segmentation_mask": tf.constant(png(mask))}
    found = make().annotations(
        example, frame_of(tf.constant([4, 6]), tf.constant([2, 2])), tf.constant([3, 2])
    )
    assert found["segmentation_masks"].numpy()[..., 0].tolist() == [[0, 1], [2, VOID], [VOID, VOID]]


def test_class_weights_come_from_the_training_split():
    """As in the losses' test: frequencies of 0.75, 0.5 and 0.2."""
    facts = {"mask_pixels": [[10, 10, 0, 4], [80, 0, 20, 0]]}  # the last is void
    task = make(class_weights="median_frequency")
    task.prepare(facts.__getitem__)
    assert task.class_weights == pytest.approx([0.5 / 0.75, 1.0, 2.5])
    plain = make()
    plain.prepare(facts.__getitem__)
    mask, logits = np.full((1, 2, 2, 1), 2, np.uint8), np.zeros((1, 2, 2, 3), np.float32)
    assert float(task.loss()(mask, logits)) == pytest.approx(2.5 * np.log(3))
    assert float(plain.loss()(mask, logits)) == pytest.approx(np.log(3))


def test_class_weights_without_counts_are_refused():
    with pytest.raises(ValueError, match="median_frequency"):
        make(class_weights="median_frequency").prepare(lambda _: [[]])


def test_losses_are_summed():
    generator = np.random.default_rng(0)
    mask = generator.integers(0, 3, (2, 4, 4, 1)).astype(np.uint8)
    logits = generator.normal(size=(2, 4, 4, 3)).astype(np.float32)
    names = ["crossentropy", "focal", "dice", "tversky"]
    apart = [float(make(losses=[name]).loss()(mask, logits)) for name in names]
    assert len(set(apart)) == 4
    assert float(make(losses=names).loss()(mask, logits)) == pytest.approx(sum(apart), rel=1e-5)


@pytest.mark.parametrize("losses", [[], ["dice", "dice"], ["iou"]])
def test_losses_that_are_refused(losses):
    with pytest.raises(ValueError, match="losses"):
        make(losses=losses)


def test_watched_iou_leaves_void_out():
    """Of the first image 2 of 3 and 3 of 4; of the second one of 2 is void: all in one table."""
    (watched,) = make().metrics()
    mask = np.array([[[0, 0, 1, VOID]]])[..., None]
    watched.update_state(mask, np.eye(3)[[[[0, 1, 1, 2]]]])
    # ground: 1 of 2; tree: 1 of 2; road is nowhere
    assert (watched.name, float(watched.result())) == ("mean_iou", 0.5)


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(ValueError, match="two classes or more"):
        make_task(SegmentationSettings(kind="segmentation"), ["ground"])


# === serving ===


def test_decoding_in_a_graph():
    logits = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    found = tf.function(make().decode)(tf.zeros([2, 4, 6, 1]), logits, whole_frame(logits))
    assert set(found) == {"class_map", "sizes"}
    np.testing.assert_array_equal(found["class_map"], logits.argmax(-1))
    assert found["sizes"].numpy().tolist() == [[4, 6]] * 2


# === evaluation ===


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda outputs: {"sizes": outputs["sizes"]}, "no `class_map`"),
        (lambda outputs: {**outputs, "class_map": outputs["class_map"] + 1}, "index 3, for 3 classes"),
        (lambda outputs: {**outputs, "sizes": outputs["sizes"] + 2}, "smaller than their images"),
        (lambda outputs: {**outputs, "sizes": outputs["sizes"][:1]}, "sizes of shape"),
    ],
)
def test_outputs_that_cannot_be_judged(change, said):
    outputs = outputs_of(FOUND)
    assert make().check(outputs) == ""
    assert said in make().check(change(outputs))


def test_records_by_hand(records):
    """Rows are the truth. First image: one 0 of three is told to be 1. Second: one 2 is told to be 1, and
    what is told of void plays no part."""
    assert records["confusions"].tolist() == [
        [[2, 1, 0], [0, 3, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 2, 0], [0, 1, 2]],
    ]
    for row, mask, found in zip(records["boundaries"], TRUTH, FOUND, strict=True):
        np.testing.assert_array_equal(row, boundary_f1(mask, found, 3))


def test_metrics_by_hand(records):
    """IoU: 2 of 3, 5 of 7, 2 of 3; 9 of 11 pixels are right."""
    found = make().measure(records)
    assert found["iou/ground"] == pytest.approx(2 / 3)
    assert found["iou/tree"] == pytest.approx(5 / 7)
    assert found["iou/road"] == pytest.approx(2 / 3)
    assert found["mean_iou"] == pytest.approx((2 / 3 + 5 / 7 + 2 / 3) / 3)
    assert found["pixel_accuracy"] == pytest.approx(9 / 11)
    intervals = make().evaluate(records, 40, 1)
    assert set(intervals) == set(found)
    assert intervals["mean_iou"]["low"] <= found["mean_iou"] <= intervals["mean_iou"]["high"]


def test_badness_and_caption(records):
    """First image: 2 of 3 and 3 of 4. Second: 2 of 3 and 2 of 3."""
    ious = [(2 / 3 + 3 / 4) / 2, 2 / 3]
    np.testing.assert_allclose(make().badness(records), 1 - np.array(ious))
    row = {name: values[0] for name, values in records.items()}
    assert make().caption(row) == "mean IoU 0.708, 83.3% of the pixels right"
    right = make().record(np.array([png(TRUTH[0])]), outputs_of(TRUTH[:1]))
    assert make().badness(right).tolist() == [0.0]


def test_an_image_of_nothing_but_void_counts_nowhere(records):
    blank = make().record(np.array([png(np.full((2, 2), VOID))]), outputs_of([np.zeros((2, 2), int)]))
    assert make().badness(blank).tolist() == [0.0]
    assert make().measure(blank)["mean_iou"] is None
    assert make().caption({name: values[0] for name, values in blank.items()}).startswith("mean IoU nan")
    joined = {name: np.concatenate([records[name], blank[name]]) for name in records}
    assert make().measure(joined) == make().measure(records)


def test_picture_shows_prediction_and_truth_side_by_side():
    image = tf.io.encode_png(np.full((2, 3, 1), 200, np.uint8)).numpy()
    outputs = {name: values[0] for name, values in outputs_of(FOUND).items()}
    shown = tf.io.decode_png(make().picture(image, outputs, {"truth": png(TRUTH[0])})).numpy()
    assert shown.shape == (2, 3 + 4 + 3, 3)
    assert (shown[:, 3:7] == 255).all()
    left, right = shown[:, :3], shown[:, 7:]
    # the second pixel is told to be tree; so the third, which is one, has ground beside it in the truth only
    differ = (left != right).any(axis=-1)
    assert differ.tolist() == [[False, True, True], [False, False, False]]
    assert (left[0, 0] == 200).all()  # the first class stays as it is
    alone = tf.io.decode_png(make().picture(image, outputs, {})).numpy()
    np.testing.assert_array_equal(alone, left)


def test_plots(records):
    matrix, bars = make().plots(records, bootstrap=20)
    # 3 ground: 2 right, 1 tree; 5 trees; 3 road: 1 tree, 2 right
    assert matrix["values"] == [[0.6667, 0.3333, 0], [0, 1, 0], [0, 0.3333, 0.6667]]
    assert [item["name"] for item in bars["items"]] == NAMES
    assert bars["items"][0]["value"] == pytest.approx(2 / 3)
