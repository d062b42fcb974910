"""Detection: what training is given, what is served, and how it is judged."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.metrics.records import join
from conveyor.models.ops.images import image_size
from conveyor.models.tasks.settings import DetectionSettings
from conveyor.models.tasks.task import make_task

CLASSES = ["cat", "dog"]


def make(**settings):
    return make_task(DetectionSettings(kind="detection", **settings), CLASSES)


def test_threshold_is_told():
    assert make(threshold=0.3).thresholds() == {"scores": 0.3}


def png(height=40, width=60):
    return tf.io.encode_png(np.zeros((height, width, 3), np.uint8))


def example(boxes, labels, crowd=None, size=(40, 60)):
    """An example as Examples hold it: boxes xyxy in pixels become top, left, bottom, right in shares."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    height, width = size
    shares = boxes[:, [1, 0, 3, 2]] / np.array([height, width, height, width], np.float32)
    count = len(boxes)
    return {
        "image": png(*size),
        "objects": {
            "bbox": tf.constant(shares, tf.float32),
            "label": tf.constant(labels, tf.int64),
            "area": tf.constant((boxes[:, 2:] - boxes[:, :2]).prod(1)),
            "is_crowd": tf.constant(crowd or [False] * count, tf.bool),
            "is_difficult": tf.zeros([count], tf.bool),
        },
    }


def frame(sizes, scales):
    return {"sizes": tf.constant(sizes, tf.int32), "scales": tf.constant(scales, tf.float32)}


# === training ===


def test_boxes_are_in_pixels_of_the_decoded_image():
    one = example([[6, 4, 30, 20], [0, 0, 60, 40]], [1, 0], crowd=[False, True])
    found = make().annotations(one, frame([40, 60], [0.5, 2.0]), tf.constant([20, 120]))["bounding_boxes"]
    np.testing.assert_allclose(found["boxes"], [[12, 2, 60, 10], [0, 0, 120, 20]], rtol=1e-6)
    assert found["labels"].numpy().tolist() == [1, 2]  # a crowd: its class and the number of classes
    assert (found["boxes"].dtype, found["labels"].dtype) == (tf.float32, tf.int32)


def test_of_too_many_boxes_the_largest_are_kept_in_order_and_it_is_told():
    task = make(max_boxes=2)
    one = example([[0, 0, 9, 9], [0, 0, 2, 2], [0, 0, 5, 5]], [0, 1, 1])
    found = task.annotations(one, frame([40, 60], [1.0, 1.0]), tf.constant([40, 60]))["bounding_boxes"]
    np.testing.assert_allclose(found["boxes"][:, 2], [9, 5], rtol=1e-6)
    facts = {"objects": [[{}] * 5, [{}], [{}] * 3, []]}
    (told,) = task.prepare(facts.__getitem__)
    assert told.startswith("4 boxes of 2 training images are left out")
    assert "one has 5 (task.max_boxes)" in told
    assert make().prepare(facts.__getitem__) == []


@pytest.mark.parametrize(("given", "rows"), [(0, 1), (3, 3), (6, 4)])
def test_targets_have_at_least_a_row_and_no_more_than_allowed(given, rows):
    labels = np.array([[-1] * (given // 2) + [2] * (given > 2) + [1] * (given - given // 2 - (given > 2))])
    boxes = np.where(labels[..., None] < 0, -1.0, labels[..., None] * np.ones(4)).astype(np.float32)
    batch = {
        "images": tf.zeros([1, 8, 8, 3]),
        "bounding_boxes": {"boxes": tf.constant(boxes), "labels": tf.constant(labels, tf.int32)},
    }
    images, targets = make(max_boxes=4).inputs_and_targets(batch, tf.zeros([2], tf.int32))
    assert images is batch["images"]
    assert targets["boxes"].shape == (1, rows, 4)
    assert targets["labels"].shape == targets["ignored"].shape == (1, rows)
    assert (targets["labels"].numpy() == 1).sum() == (labels == 1).sum()
    assert (targets["ignored"].numpy()).sum() == (labels == 2).sum()  # crowds are not to be found
    assert (targets["labels"].numpy()[targets["ignored"]] == -1).all()


def test_rows_are_known_where_batches_differ():
    def generate():
        for count in (1, 3):
            yield {"boxes": np.zeros((1, count, 4), "f"), "labels": np.zeros((1, count), "i4")}

    spec = {"boxes": tf.TensorSpec([1, None, 4]), "labels": tf.TensorSpec([1, None], tf.int32)}
    found = tf.data.Dataset.from_generator(generate, output_signature=spec).map(
        lambda boxes: make(max_boxes=2).inputs_and_targets(
            {"images": tf.zeros([1, 8, 8, 3]), "bounding_boxes": boxes}, tf.zeros([2], tf.int32)
        )
    )
    assert found.element_spec[1]["boxes"].shape[1:] == (2, 4)
    assert [targets["labels"].numpy().tolist() for _, targets in found] == [[[0, -1]], [[0, 0]]]


# === serving ===


def test_served_boxes_are_in_the_images_own_pixels():
    raw = {
        "boxes": tf.constant([[[10.0, 5, 20, 10], [0, 0, 100, 100], [-1, -1, -1, -1]]]),
        "scores": tf.constant([[0.9, 0.4, 0.0]]),
        "labels": tf.constant([[1, 0, -1]]),
    }
    found = make().decode(tf.zeros([1, 100, 100, 3]), raw, frame([[40, 60]], [[0.5, 2.0]]))
    # x / 2 and y / 0.5, cut to 60 x 40
    np.testing.assert_allclose(found["boxes"][0], [[5, 10, 10, 20], [0, 0, 50, 40], [-1] * 4])
    assert found["class_name"].numpy().tolist() == [[b"dog", b"cat", b""]]
    assert found["count"].numpy().tolist() == [2]
    assert (
        make().check({name: np.asarray(value) for name, value in found.items() if name != "class_name"}) == ""
    )


# === evaluation ===


def outputs(rows, most=3):
    """Of each image (box, score, label) tuples."""
    boxes, scores = np.full((len(rows), most, 4), -1.0, np.float32), np.zeros((len(rows), most), np.float32)
    labels = np.full((len(rows), most), -1, np.int32)
    for image, own in enumerate(rows):
        for place, (box, score, label) in enumerate(own):
            boxes[image, place], scores[image, place], labels[image, place] = box, score, label
    return {"boxes": boxes, "scores": scores, "class_id": labels}


def truth(*examples):
    """As replay gives it: filled up."""
    found = [make().truth(one) for one in examples]
    return join([{name: column.numpy()[None] for name, column in one.items()} for one in found])


def test_truth_is_exact_to_a_thousandth_of_a_pixel():
    one = example([[1.37, 2.5, 33.33, 39.99]], [1], size=(40, 60))
    found = make().truth(one)
    np.testing.assert_array_equal(found["boxes"], [[1.37, 2.5, 33.33, 39.99]])
    assert found["boxes"].dtype == tf.float64


@pytest.mark.parametrize("encode", [tf.io.encode_png, tf.io.encode_jpeg])
def test_sizes_are_read_from_the_head(encode):
    assert image_size(encode(np.zeros((3, 700, 3), np.uint8))).numpy().tolist() == [3, 700]


def test_metrics_badness_and_captions_by_hand():
    task = make()
    first = example([[0, 0, 10, 10], [20, 20, 40, 40]], [0, 1])
    second = example([[0, 0, 10, 10]], [0])
    empty = example(np.zeros((0, 4)), [])
    said = outputs(
        [
            [((0, 0, 10, 10), 0.9, 0), ((20, 20, 40, 30), 0.8, 1), ((0, 0, 9, 9), 0.3, 0)],
            [((30, 0, 40, 10), 0.7, 0)],
            [],
        ]
    )
    records = task.record(truth(first, second, empty), said)
    found = task.evaluate(records, 50, 0)
    # cats: right, wrong (0.7), a second for a found one (0.3), of two. Precision 1 up to recall 1/2: 51/101
    # dog: IoU exactly 1/2, right at 0.5 and at no higher threshold
    assert found["AP50/cat"]["value"] == pytest.approx(51 / 101)
    assert found["AP50/dog"]["value"] == 1
    assert found["AP"]["value"] == pytest.approx((51 / 101 + 0.1) / 2)
    assert found["AR1"]["value"] == pytest.approx((0.5 + 0.1) / 2)
    assert found["voc_AP50"]["value"] == pytest.approx(0.25)  # VOC asks for an IoU above one half
    assert found["AP50"]["low"] < found["AP50"]["value"] < found["AP50"]["high"]
    assert {name: found[name]["value"] for name in found} == task.measure(records)
    # at a score of 0.5: nothing wrong; a miss and a false box of two; nothing there and nothing said
    np.testing.assert_allclose(task.badness(records), [0, 1, 0])
    row = {name: column[1] for name, column in records.items()}
    assert task.caption(row).startswith("0 of 1 objects found, 1 false boxes (score 0.5 or more)")
    picture = tf.io.decode_image(task.picture(png().numpy(), {}, row)).numpy()
    assert picture.shape == (40, 60, 3)
    assert picture[5, 0, 1] > 120  # the true box
    assert picture[1, 35, 0] > 120  # the false one, a line further inside
    assert picture[30, 50].max() < 60
    titles = [plot["title"] for plot in task.plots(records, 20)]
    assert titles == ["Precision and recall", "Average precision by class", "What errors cost"]


def test_nothing_there_and_nothing_said_is_undefined():
    task = make()
    records = task.record(truth(example(np.zeros((0, 4)), [])), outputs([[]]))
    assert set(task.measure(records).values()) == {None}
    assert task.plots(records) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"boxes": np.zeros((1, 2, 4))}, "boxes of shape"),
        ({"scores": np.full((1, 3), np.nan)}, "no numbers"),
        ({"class_id": np.array([[5, -1, -1]])}, "class 5, of 2 classes"),
        ({"class_name": np.array([["bird", "", ""]])}, "'bird' for 'cat'"),
    ],
)
def test_outputs_that_cannot_be_judged(changed, told):
    said = outputs([[((0, 0, 9, 9), 0.5, 0)]])
    assert make().check(said) == ""
    assert told in make().check({**said, **changed})
    assert "no `scores`" in make().check({"boxes": said["boxes"], "class_id": said["class_id"]})
