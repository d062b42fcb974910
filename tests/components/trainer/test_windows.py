"""Images that keep their sizes: windows for training, whole images for evaluation, and exact resume."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from small_run import make_examples, new, sealed, training

from conveyor.components.artifacts import Statistics, TransformGraph
from conveyor.components.datasets import read_split
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.stage import statistics_gen
from conveyor.components.tasks import task_for
from conveyor.components.trainer.inputs import TrainingInput, evaluation_input
from conveyor.components.trainer.windows import Flat, Windows
from conveyor.components.transform.settings import TransformSettings
from conveyor.components.transform.stage import transform
from conveyor.models.tasks.settings import SegmentationSettings
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

SIZES = [(9, 14), (20, 6), (5, 5), (16, 16)]  # height, width; windows are 8x7
WINDOW, STRIDE = (8, 7), 4


def place(height, width):
    """Pixels that tell where they are, and to which image they belong."""
    rows, columns = np.indices((height, width))
    return np.stack([rows * 8, columns * 8, np.full_like(rows, 10 * (height % 7))], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Segmentation examples of several sizes; the mask of a pixel is its row, modulo 3."""
    folder = tmp_path_factory.mktemp("windows")
    for split in ("train", "validation"):
        for kind in ("images", "masks"):
            (folder / "source" / split / kind).mkdir(parents=True)
        for number, (height, width) in enumerate(SIZES * (3 if split == "train" else 1)):
            pixels = place(height, width)
            pixels[0, 0, 2] = 100 + number  # no two images are the same
            mask = (np.indices((height, width))[0] % 3).astype(np.uint8)
            PIL.Image.fromarray(pixels).save(folder / "source" / split / "images" / f"{number:02d}.png")
            PIL.Image.fromarray(mask).save(folder / "source" / split / "masks" / f"{number:02d}.png")
    examples = make_examples(folder, folder / "source", kind="masks")
    statistics, graph = new(folder, Statistics), new(folder, TransformGraph)
    context = Context(scratch=folder)
    statistics_gen(
        examples=examples, statistics=statistics, settings=StatisticsGenSettings(), context=context
    )
    transform(
        examples=examples,
        statistics=statistics,
        anomalies=None,
        transform_graph=graph,
        settings=TransformSettings(resize="none", size=WINDOW, stride=STRIDE),
        context=context,
    )
    return examples, sealed(graph)


TASK = SegmentationSettings(kind="segmentation")
AUGMENT = [{"random_flip": {"mode": "horizontal"}}]


def batches_of(data, first=0, seed=3, augment=(), **fit):
    examples, graph = data
    settings = training(seed=seed, epochs=2, batch_size=5, **fit).model_copy(
        update={"augment": list(augment)}
    )
    source = TrainingInput(examples, graph, task_for(TASK, examples), settings)
    return [(images.numpy(), masks.numpy()) for images, masks in source.dataset(first)]


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_windows_are_parts_of_images_with_their_masks(data, cache):
    found = batches_of(data, cache=cache)
    assert [len(images) for images, _ in found] == [5, 5, 2] * 2
    corners = set()
    for images, masks in found:
        assert images.shape[1:] == (*WINDOW, 3)
        assert masks.shape[1:] == (*WINDOW, 1)
        for image, mask in zip(np.rint(images * 255).astype(int), masks[..., 0], strict=True):
            inside = mask != 255
            rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
            assert (inside == np.outer(inside.any(axis=1), inside.any(axis=0))).all()  # padding is at the end
            assert rows.tolist() == list(range(len(rows)))
            assert columns.tolist() == list(range(len(columns)))
            top, left = image[0, 0, 0] // 8, image[0, 0, 1] // 8
            height, width = len(rows), len(columns)
            np.testing.assert_array_equal(image[:height, 0, 0] // 8, top + np.arange(height))
            np.testing.assert_array_equal(image[0, :width, 1] // 8, left + np.arange(width))
            np.testing.assert_array_equal(mask[:height, 0], (top + np.arange(height)) % 3)
            corners.add((top, left))
    assert len(corners) > 6


def test_kept_or_read_the_windows_are_those_of_the_seed(data):
    one, again, other = (batches_of(data, seed=seed) for seed in (3, 3, 4))
    assert all((a[0] == b[0]).all() for a, b in zip(one, again, strict=True))
    assert any((a[0] != b[0]).any() for a, b in zip(one, other, strict=True))
    assert any((a[0] != b[0]).any() for a, b in zip(one[:3], one[3:], strict=True))  # in each epoch others


@pytest.mark.parametrize("cache", ["memory", "off"])
@pytest.mark.parametrize("first", [2, 4])
@pytest.mark.parametrize("foreground", [0.0, 0.5])
def test_training_goes_on_at_any_step(data, cache, first, foreground):
    whole = batches_of(data, cache=cache, augment=AUGMENT, foreground=foreground)
    rest = batches_of(data, first, cache=cache, augment=AUGMENT, foreground=foreground)
    assert len(rest) == 6 - first
    for (images, masks), (same, same_masks) in zip(whole[first:], rest, strict=True):
        np.testing.assert_array_equal(images, same)
        np.testing.assert_array_equal(masks, same_masks)


@pytest.mark.parametrize("cache", ["memory", "off"])
def test_evaluation_has_whole_images_padded_to_the_stride(data, cache):
    examples, graph = data
    given = evaluation_input(examples, graph, task_for(TASK, examples), "validation", 3, cache)
    found = [(images.numpy(), masks.numpy()) for images, masks in given]
    sizes = [
        tf.io.decode_image(row["image"]).shape[:2].as_list() for row in read_split(examples, "validation")
    ]
    fill = np.array(graph.read()["fill"]) / 255
    for number, (images, masks) in enumerate(found):
        chosen = sizes[3 * number : 3 * number + 3]
        largest = -(-np.max(chosen, axis=0) // STRIDE) * STRIDE
        assert images.shape == (len(chosen), *largest, 3)
        for image, mask, (height, width) in zip(images, masks[..., 0], chosen, strict=True):
            np.testing.assert_allclose(image[1:height, 1:width, :2] * 255, place(height, width)[1:, 1:, :2])
            np.testing.assert_allclose(image[height:], np.broadcast_to(fill, image[height:].shape), atol=1e-6)
            assert (mask[:height, :width] == np.indices((height, width))[0] % 3).all()
            assert (mask[height:] == 255).all()
            assert (mask[:, width:] == 255).all()


def test_boxes_are_cut_with_their_image():
    """A window of 4x4 out of 4x8: of the box 2 to 6 a half is seen from 0 and from 4, all of it from 2."""
    windows = Windows({"height": 4, "width": 4, "stride": 1, "fill": [0]})
    boxes = {"boxes": tf.constant([[2.0, 1.0, 6.0, 3.0], [-1.0] * 4]), "labels": tf.constant([5, -1])}
    example = {"images": tf.constant(np.arange(8, dtype=np.uint8)[None, :, None].repeat(4, 0))}
    seen = set()
    for seed in range(40):
        found = windows.cut({**example, "bounding_boxes": boxes}, tf.constant([seed, 1]))
        left = int(found["images"][0, 0, 0])
        seen.add(left)
        wanted = [max(2 - left, 0), 1, min(6 - left, 4), 3]
        assert found["bounding_boxes"]["boxes"].numpy().tolist() == [wanted, [-1] * 4]
        assert found["bounding_boxes"]["labels"].numpy().tolist() == [5, -1]
    assert seen == {0, 1, 2, 3, 4}


def test_kept_examples_come_back_with_their_annotations_filled_up():
    sizes, counts = [(2, 3), (4, 1), (1, 1)], [1, 3, 0]
    spec = {
        "images": tf.TensorSpec([None, None, 2], tf.uint8),
        "segmentation_masks": tf.TensorSpec([None, None, 1], tf.uint8),
        "bounding_boxes": {
            "boxes": tf.TensorSpec([None, 4], tf.float32),
            "labels": tf.TensorSpec([None], tf.int32),
        },
        "labels": tf.TensorSpec([3], tf.float32),
    }
    examples = [
        {
            "images": np.arange(height * width * 2, dtype=np.uint8).reshape(height, width, 2) + number,
            "segmentation_masks": np.full((height, width, 1), number, np.uint8),
            "bounding_boxes": {
                "boxes": np.full((count, 4), number, np.float32),
                "labels": np.arange(count, dtype=np.int32),
            },
            "labels": np.eye(3, dtype=np.float32)[number],
        }
        for number, ((height, width), count) in enumerate(zip(sizes, counts, strict=True))
    ]
    flat = Flat(tf.data.Dataset.from_generator(lambda: examples, output_signature=spec), 3)
    for number, example in enumerate(examples):
        found = flat.take(tf.constant(number, tf.int64))
        for name in ("images", "segmentation_masks", "labels"):
            np.testing.assert_array_equal(found[name], example[name])
        boxes, missing = found["bounding_boxes"], 3 - counts[number]
        wanted = example["bounding_boxes"]
        assert boxes["labels"].numpy().tolist() == [*wanted["labels"], *[-1] * missing]
        assert boxes["boxes"].numpy().tolist() == [*wanted["boxes"].tolist(), *[[-1] * 4] * missing]


def test_foreground_is_refused_where_nothing_tells_what_it_is(data, monkeypatch):
    examples, graph = data
    task = task_for(TASK, examples)
    monkeypatch.setattr(task, "annotations", lambda *_: {})
    with pytest.raises(UserError, match="windows of images with masks or boxes"):
        TrainingInput(examples, graph, task, training(epochs=1, foreground=0.5))


SIDE = 4  # of windows of 20x20 images
AROUND = {"height": SIDE, "width": SIDE, "stride": 1, "fill": [0, 0]}


def corners_of(foreground, annotations, seeds):
    """Returns the corner of the window that each seed gives; pixels tell where they are."""
    windows = Windows(AROUND, foreground)
    example = {"images": tf.constant(np.moveaxis(np.indices((20, 20)), 0, -1).astype(np.uint8))}
    found = [windows.cut({**example, **annotations}, tf.constant([seed, 7])) for seed in range(seeds)]
    return [tuple(one["images"][0, 0].numpy().tolist()) for one in found]


def mask_of(**pixels):
    """Returns a mask with classes at (row, column); a part of the rest is void."""
    mask = np.zeros((20, 20, 1), np.uint8)
    mask[15:] = 255
    for name, (rows, columns) in pixels.items():
        mask[rows, columns] = int(name.removeprefix("class_"))
    return {"segmentation_masks": tf.constant(mask)}


def test_windows_are_around_pixels_of_each_class_alike():
    """One pixel of a class counts as much as 36 of another: about 100 windows of 200 (7 to a deviation)."""
    masks = mask_of(class_1=(10, 10), class_2=(slice(2, 8), slice(12, 18)))
    found = corners_of(1.0, masks, 200)
    centres = {(row + SIDE // 2, column + SIDE // 2) for row, column in found}
    block = {(row, column) for row in range(2, 8) for column in range(12, 18)}
    assert centres <= block | {(10, 10)}
    assert len(centres & block) > 25
    assert 70 < found.count((8, 8)) < 130


def test_the_other_windows_are_where_they_were():
    """Of 300 windows a share of 0.3 is 90 (8 to a deviation)."""
    masks = mask_of(class_3=(10, 10))
    anywhere, some = corners_of(0.0, masks, 300), corners_of(0.3, masks, 300)
    moved = [one for one, before in zip(some, anywhere, strict=True) if one != before]
    assert set(moved) == {(8, 8)}
    assert 60 < len(moved) < 120


def test_windows_are_from_anywhere_where_there_is_nothing():
    nothing = {"boxes": -tf.ones([2, 4]), "labels": tf.constant([-1, -1])}
    for annotations in (mask_of(), {"bounding_boxes": nothing}, {**mask_of(), "bounding_boxes": nothing}):
        assert corners_of(1.0, annotations, 30) == corners_of(0.0, annotations, 30)


def test_windows_stay_within_the_image():
    assert set(corners_of(1.0, mask_of(class_1=(0, 19)), 5)) == {(0, 20 - SIDE)}


def test_windows_are_around_centres_of_boxes():
    """The box from x 2 to 6 and y 11 to 16 has its centre at row 13.5 and column 4: from row 11, column 2."""
    boxes = {"boxes": tf.constant([[-1.0] * 4, [2.0, 11.0, 6.0, 16.0]]), "labels": tf.constant([-1, 5])}
    assert set(corners_of(1.0, {"bounding_boxes": boxes}, 5)) == {(11, 2)}
    instances = mask_of(class_9=(3, 3))  # whose values are no classes
    assert set(corners_of(1.0, {"bounding_boxes": boxes, **instances}, 5)) == {(11, 2)}
