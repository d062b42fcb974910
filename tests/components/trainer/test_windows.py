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
from conveyor.components.trainer.flat import Flat
from conveyor.components.trainer.inputs import TrainingInput, evaluation_input
from conveyor.components.trainer.windows import Windows
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
    corners, fill = set(), data[1].read()["fill"]
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
            assert (image[~inside] == fill).all()
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


@pytest.mark.parametrize("is_kept", [False, True])
def test_boxes_are_cut_with_their_image(is_kept):
    """A window of 4x4 out of 4x8: of the box 2 to 6 a half is seen from 0 and from 4, all of it from 2."""
    windows = Windows({"height": 4, "width": 4, "stride": 1, "fill": [0]})
    example = {
        "images": tf.constant(np.arange(8, dtype=np.uint8)[None, :, None].repeat(4, 0)),
        "bounding_boxes": {"boxes": tf.constant([[2.0, 1, 6, 3], [-1] * 4]), "labels": tf.constant([5, -1])},
    }
    if is_kept:
        spec = {
            "images": tf.TensorSpec([None, None, 1], tf.uint8),
            "bounding_boxes": {
                "boxes": tf.TensorSpec([2, 4], tf.float32),
                "labels": tf.TensorSpec([2], tf.int32),
            },
        }
        dataset = tf.data.Dataset.from_generator(lambda: [example], output_signature=spec)
        flat = Flat(dataset, 1, windows)
        batches = [flat.cut(tf.zeros(4, tf.int64), tf.constant([seed, 1])) for seed in range(10)]
    else:
        batches = [windows.cut(example, tf.constant([seed, 1])) for seed in range(40)]
        batches = [tf.nest.map_structure(lambda one: one[tf.newaxis], batch) for batch in batches]
    seen = set()
    for batch in batches:
        found = batch["bounding_boxes"]
        for image, boxes, labels in zip(batch["images"], found["boxes"], found["labels"], strict=True):
            left = int(image[0, 0, 0])
            seen.add(left)
            assert image[0, :, 0].numpy().tolist() == list(range(left, left + 4))
            assert boxes.numpy().tolist() == [[max(2 - left, 0), 1, min(6 - left, 4), 3], [-1] * 4]
            assert labels.numpy().tolist() == [5, -1]
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
    windows = Windows({"height": 2, "width": 2, "stride": 1, "fill": [7, 8]})
    flat = Flat(tf.data.Dataset.from_generator(lambda: examples, output_signature=spec), 3, windows)
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
