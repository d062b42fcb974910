import numpy as np
import PIL.Image
import pytest

from conveyor.components.label_errors.find import find_label_errors
from conveyor.components.label_errors.masks import judge_masks, mean_iou
from conveyor.components.label_errors.pixels import surroundings

NAMES = ["ground", "blob"]


def blob(random):
    """A bright blob on noise, and its mask with a rim of void."""
    y, x = np.mgrid[:48, :64]
    distance = np.hypot(y - random.integers(14, 34), x - random.integers(14, 50)) / random.integers(6, 12)
    image = random.integers(20, 90, (48, 64, 3), np.uint8)
    image[distance < 1] += 110
    mask = (distance < 1).astype(np.uint8)
    mask[(distance > 0.95) & (distance < 1.05)] = 255
    return image, mask


@pytest.fixture(scope="module")
def blobs():
    """30 blobs; of three the mask is another's, moved, or empty."""
    random = np.random.default_rng(0)
    images, masks = zip(*(blob(random) for _ in range(30)), strict=True)
    spoilt = [mask.copy() for mask in masks]
    spoilt[3], spoilt[8], spoilt[20] = masks[4], np.roll(masks[8], (6, 8), (0, 1)), masks[20] * 0
    return [
        {"key": f"{number:02d}", "image": image, "mask": mask}
        for number, (image, mask) in enumerate(zip(images, spoilt, strict=True))
    ]


def test_masks_of_others_moved_or_empty_are_found(make_examples, blobs, tmp_path):
    (found,) = find_label_errors(make_examples(blobs, NAMES, ["mask"]), tmp_path / "pictures")
    assert found["kind"] == "mask_error"
    assert set(found["examples"]) == {"03", "08", "20"}
    captions = {picture["caption"][:2]: picture["caption"] for picture in found["pictures"]}
    assert "fits better when moved" in captions["08"]
    assert "another image's mask fits better" in captions["20"]
    with PIL.Image.open(tmp_path / found["pictures"][0]["file"]) as image:
        assert image.size == (224 * 2 + 4, 168)


def test_right_masks_are_left_alone(blobs):
    good = [row for row in blobs if row["key"] not in ("03", "08", "20")]
    images, masks = [row["image"] for row in good], [row["mask"] for row in good]
    verdict = judge_masks(images, masks, np.arange(len(good)), 2)
    assert not len(verdict.worst_first())
    assert verdict.own.min() > 0.8


def test_masks_that_have_nothing_to_do_with_images_are_not_judged(blobs):
    random = np.random.default_rng(1)
    masks = [random.integers(0, 2, (48, 64), np.uint8) for _ in blobs]
    assert judge_masks([row["image"] for row in blobs], masks, np.arange(30), 2) is None


def test_images_of_the_same_group_are_not_others(blobs):
    """All of two groups: within one the masks are equal, and that is no sign that they are wrong."""
    images, masks = (
        [blobs[0]["image"]] * 15 + [blobs[1]["image"]] * 15,
        [blobs[0]["mask"]] * 15 + [blobs[1]["mask"]] * 15,
    )
    bundles = np.array([0] * 15 + [1] * 15)
    assert judge_masks(images, masks, bundles, 2) is None  # too few to judge
    bundles = np.arange(30)
    assert not len(judge_masks(images, masks, bundles, 2).worst_first())


def test_too_few_images_or_classes(blobs):
    images, masks = [row["image"] for row in blobs], [row["mask"] for row in blobs]
    assert judge_masks(images[:5], masks[:5], np.arange(5), 2) is None
    assert judge_masks([], [], np.arange(0), 2) is None
    assert judge_masks(images, [mask * 0 for mask in masks], np.arange(30), 2) is None


def test_a_mask_of_nothing_but_void_is_not_judged(make_examples, blobs, tmp_path):
    rows = [{**row, "mask": row["mask"] * 0 + 255} if row["key"] == "00" else row for row in blobs]
    (found,) = find_label_errors(make_examples(rows, NAMES, ["mask"]), tmp_path / "pictures")
    assert "of 29 masks" in found["long"]


def test_mean_iou_by_hand():
    given = np.array([[0, 0, 1, 255]], np.uint8)
    likely = np.array([[0, 1, 1, 0]], np.uint8)
    assert mean_iou(given, likely, 3) == pytest.approx((1 / 2 + 1 / 2) / 2)  # class 2 is in neither
    assert mean_iou(given, np.where(given == 255, 1, given).astype(np.uint8), 3) == 1
    assert mean_iou(given * 0 + 255, likely, 3) == 0


def test_surroundings_of_a_flat_image_are_its_colour():
    found = surroundings(np.full((9, 11, 3), 51, np.uint8))
    assert found.shape == (9, 11, 34)
    np.testing.assert_allclose(found[..., :3], 0.2, atol=1e-6)
    np.testing.assert_allclose(found[..., 3:6], 0, atol=1e-4)
    assert np.isfinite(found).all()
