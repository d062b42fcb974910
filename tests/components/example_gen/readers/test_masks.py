"""Pairs of images and masks as users have them, and as they should not be."""

import io
import pathlib
import pickle
import random

import numpy as np
import PIL.Image
import pytest
from small_images import damage, decode, encode, noise, with_orientation, write_files

from conveyor.components.example_gen.readers import masks
from conveyor.components.example_gen.readers.masks import MasksReader
from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.pipeline.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, on odd metadata
NUCLEI = pathlib.Path(__file__).resolve().parents[5] / "shared" / "data" / "nuclei"
IMAGE = encode(noise(6, 5, 3), "JPEG")
INDICES = np.array([[0, 1, 2, 255, 0]] * 6, np.uint8)
MASK = encode(INDICES)
PLAIN = b"background\ncat\ndog\n"
COLOURS = b"background 0 0 0\ncat 255 0 0\ndog 0 128 0\n"
TABLE = np.zeros((256, 3), np.uint8)
TABLE[1], TABLE[2], TABLE[255] = (255, 0, 0), (0, 128, 0), (224, 224, 192)
COLOURED = encode(TABLE[INDICES])


def palette():
    image = PIL.Image.frombytes("P", INDICES.shape[::-1], INDICES.tobytes())
    image.putpalette(noise(256, 3).tobytes())
    return encode(image)


def read(path):
    """Returns the reader and key -> example."""
    reader = MasksReader(str(path))
    reader.classes()
    chunks, worker = pickle.loads(pickle.dumps((reader.chunks(), reader)))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    assert all(bool(example.data) or (example.error and example.reason in REASONS) for example in examples)
    return reader, found


def reasons(found):
    return {key: example.reason for key, example in found.items() if example.data is None}


def one(tmp_path, mask, classes=PLAIN, suffix="png"):
    """Returns the example of one mask beside a good one."""
    files = {"images/a.jpg": IMAGE, f"masks/a.{suffix}": mask, "images/b.jpg": IMAGE, "masks/b.png": MASK}
    _, found = read(write_files(tmp_path / "data", files | ({"classes.txt": classes} if classes else {})))
    return found["images/a.jpg"]


@pytest.mark.parametrize(
    ("image", "mask", "split"),
    [
        ("images/a.jpg", "masks/a.png", ""),
        ("images/a.jpg", "labels/a.png", ""),
        ("images/a.jpg", "annotations/a.png", ""),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", ""),
        ("images/a.jpg", "masks/a_mask.png", ""),
        ("images/a.jpg", "masks/a-mask.png", ""),
        ("images/a.jpg", "masks/a_label.png", ""),
        ("images/a_mask.jpg", "masks/a_mask.png", ""),
        ("images/a.b.jpg", "masks/a.b.png", ""),
        ("train/images/a.jpg", "train/masks/a.png", "train"),
        ("val/JPEGImages/a.jpg", "val/SegmentationClass/a.png", "validation"),
        ("images/val/a.jpg", "masks/val/a.png", "validation"),
        ("images/x/a.jpg", "masks/x/a.png", ""),
    ],
)
def test_layouts(tmp_path, image, mask, split):
    reader, found = read(write_files(tmp_path / "data", {image: IMAGE, mask: MASK, "classes.txt": PLAIN}))
    (example,) = found.values()
    assert (example.key, example.split, example.data, example.mask) == (image, split, IMAGE, MASK)
    assert reader.splits() == {split} - {""}
    assert reader.classes() == ["background", "cat", "dog"]
    assert reader.annotations == {"mask"}


@pytest.mark.parametrize(
    ("mask", "classes"),
    [
        (MASK, PLAIN),
        (MASK, None),
        (palette(), PLAIN),
        (encode(INDICES.astype(np.uint16)), PLAIN),
        (encode(np.stack([INDICES] * 3, -1)), PLAIN),
        (encode(INDICES, "TIFF"), PLAIN),
        (COLOURED, COLOURS),
        (encode(np.dstack([TABLE[INDICES], INDICES])), COLOURS),
        (MASK, COLOURS),
        (MASK, b"a 0 0 0\nb 1 1 1\nc 2 2 2\nd 3 3 3\n"),
    ],
)
def test_pixels_become_indices(tmp_path, mask, classes):
    if classes and b"2 2 2" in classes:
        with_void = INDICES.copy()
        with_void[with_void == 255] = 3
        mask = encode(with_void)
        files = {"images/a.jpg": IMAGE, "masks/a.png": mask, "classes.txt": classes}
        _, found = read(write_files(tmp_path / "data", files))
        assert found["images/a.jpg"].mask == mask
        return
    example = one(tmp_path, mask, classes)
    assert example.error == ""
    written = PIL.Image.open(io.BytesIO(example.mask))
    assert (written.format, written.mode) == ("PNG", "L")
    np.testing.assert_array_equal(decode(example.mask), INDICES)


def test_one_bit_masks_and_greys_by_a_map(tmp_path):
    bits = encode(PIL.Image.fromarray(INDICES == 1))
    np.testing.assert_array_equal(decode(one(tmp_path, bits).mask), INDICES == 1)
    classes, mask = b"background 0 0 0\nobject 255 255 255\n", encode(np.uint8(INDICES == 1) * 255)
    files = {"images/a.jpg": IMAGE, "masks/a.png": mask, "classes.txt": classes}
    _, found = read(write_files(tmp_path / "grey", files))
    np.testing.assert_array_equal(decode(found["images/a.jpg"].mask), INDICES == 1)


def test_label_map_of_cvat(tmp_path):
    text = b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:255,0,0::\ndog:0,128,0::\n"
    files = {"images/a.jpg": IMAGE, "masks/a.png": COLOURED, "labelmap.txt": text}
    reader, found = read(write_files(tmp_path / "data", files))
    assert reader.classes() == ["background", "cat", "dog"]
    np.testing.assert_array_equal(decode(found["images/a.jpg"].mask), INDICES)


@pytest.mark.parametrize(
    ("mask", "reason", "part"),
    [
        (encode(INDICES[1:]), "mask_size", "5x5, its image 5x6"),
        (encode(INDICES + np.uint8(3)), "mask_index", "index 3 (12 pixels), 4 (6 pixels), 5 (6 pixels)"),
        (encode(INDICES.astype(np.uint16) * 9), "mask_index", "2295"),
        (COLOURED, "mask_index", "classes.txt"),
        (MASK[:-30], "truncated", "masks/a.png"),
        (b"", "empty", "masks/a.png"),
        (b"no image", "unreadable", "masks/a.png"),
        (encode(INDICES, "JPEG"), "unsupported_mode", "JPEG"),
    ],
)
def test_faults_of_masks(tmp_path, mask, reason, part):
    example = one(tmp_path, mask)
    assert (example.data, example.reason) == (None, reason)
    assert part in example.error


def test_a_colour_of_no_class(tmp_path):
    odd = TABLE[INDICES].copy()
    odd[0, 0] = 1, 2, 3
    example = one(tmp_path, encode(odd), COLOURS)
    assert (example.reason, "(1, 2, 3) (1 pixels)" in example.error) == ("mask_index", True)


def test_limits_apply_to_masks(tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "MAX_PIXELS", 29)
    assert one(tmp_path, MASK).reason == "too_large"
    monkeypatch.setattr(masks, "MAX_PIXELS", 30)
    monkeypatch.setattr(masks, "MAX_BYTES", 10)
    assert one(tmp_path, MASK).reason == "too_large"


def test_nothing_without_its_other_half_is_lost(tmp_path):
    files = {f"images/{name}": IMAGE for name in ("a.jpg", "a.png", "b.jpg", "c.jpg")}
    files |= {f"masks/{name}": MASK for name in ("a.png", "a_mask.png", "c.png", "d.png", "e.txt")}
    _, found = read(write_files(tmp_path / "data", files | {"classes.txt": PLAIN}))
    assert reasons(found) == {
        "images/a.png": "duplicate_file",
        "images/b.jpg": "missing_annotation",
        "masks/a_mask.png": "duplicate_file",
        "masks/d.png": "missing_image",
    }
    assert len(found) == 6


@pytest.mark.parametrize(
    "classes",
    [
        b"a 0 0 0\nb\n",
        b"a\na\n",
        b"a 0 0 0\nb 0 0 0\n",
        b"a 0 0 256\nb 1 1 1\n",
        b"\n",
        b"a\n\nb\n",
        b"\n".join(b"%d" % n for n in range(256)),
    ],
)
def test_lists_of_classes_that_will_not_do(tmp_path, classes):
    with pytest.raises(UserError):
        one(tmp_path, MASK, classes)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["images/a.jpg"],
        ["masks/a.png"],
        ["images/a.jpg", "masks/b.png"],
        ["pictures/a.jpg", "masks/a.png"],
        ["odd/images/a.jpg", "odd/masks/a.png"],
        ["images/a.jpg", "masks/a.png", "val/images/a.jpg"],
    ],
)
def test_folders_that_will_not_do(tmp_path, names):
    path = write_files(tmp_path / "data", dict.fromkeys(names, MASK))
    with pytest.raises(UserError):
        MasksReader(str(path))
    with pytest.raises(UserError):
        MasksReader("")


def test_masks_of_0_and_255_need_a_list(tmp_path):
    mask = encode(np.uint8(INDICES == 1) * 255)
    path = write_files(tmp_path / "data", {"images/a.jpg": IMAGE, "masks/a.png": mask})
    with pytest.raises(UserError, match="255 is void"):
        MasksReader(str(path)).classes()


def test_names_where_there_is_no_list(tmp_path):
    files = {"images/a.jpg": IMAGE, "masks/a.png": MASK, "images/b.jpg": IMAGE, "masks/b.png": b"no image"}
    reader, found = read(write_files(tmp_path / "data", files))
    assert reader.classes() == ["class_0", "class_1", "class_2"]
    assert reasons(found) == {"images/b.jpg": "unreadable"}


def test_fingerprint_follows_masks_and_classes(tmp_path):
    files = {"images/a.jpg": IMAGE, "masks/a.png": MASK, "classes.txt": PLAIN}
    path = write_files(tmp_path / "data", files)
    digests = [MasksReader(str(path)).fingerprint(tmp_path)]
    for name in ("masks/a.png", "classes.txt", "images/a.jpg"):
        (path / name).write_bytes(b"another")
        digests.append(MasksReader(str(path)).fingerprint(tmp_path))
    assert len(set(digests)) == 4


def test_damaged_masks(tmp_path):
    dice, kept = random.Random(0), 0  # noqa: S311
    files = {"classes.txt": COLOURS}
    for number in range(300):
        source = dice.choice((MASK, palette(), COLOURED, encode(INDICES, "TIFF"), encode(INDICES, "BMP")))
        files[f"images/{number}.jpg"] = IMAGE if dice.random() < 0.8 else damage(IMAGE, dice)
        files[f"masks/{number}.png"] = damage(source, dice)
    _, found = read(write_files(tmp_path / "data", files))
    assert len(found) == 300
    for example in found.values():
        if example.data is not None:
            kept += 1
            assert set(np.unique(decode(example.mask))) <= {0, 1, 2, 255}
    assert 0 < kept < 300


def test_damaged_lists_of_classes(tmp_path):
    dice = random.Random(1)  # noqa: S311
    path = write_files(tmp_path / "data", {"images/a.jpg": IMAGE, "masks/a.png": COLOURED})
    for _ in range(200):
        (path / "classes.txt").write_bytes(damage(COLOURS, dice))
        try:
            assert len(read(path)[1]) == 1
        except UserError:
            continue


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="no real data here")
def test_nuclei():
    reader, found = read(NUCLEI)
    assert reader.classes() == ["background", "nucleus"]
    assert not reasons(found)
    assert len(found) == 300
    assert all(example.mask for example in found.values())


@pytest.mark.parametrize(
    ("orientation", "kept"), [(1, [(20, 10)]), (6, [(20, 10), (10, 20)]), (3, [(20, 10)])]
)
def test_a_mask_of_the_image_as_it_is_stored_or_as_it_is_shown(tmp_path, orientation, kept):
    image = with_orientation(noise(10, 20, 3), "JPEG", orientation)
    for width, height in ((20, 10), (10, 20), (20, 20)):
        mask = encode(np.zeros((height, width), np.uint8))
        files = {"images/a.jpg": image, "masks/a.png": mask, "classes.txt": PLAIN}
        (example,) = read(write_files(tmp_path / "data", files))[1].values()
        if (width, height) in kept:
            assert (example.size, example.mask) == ((width, height), mask)
        else:
            assert (example.data, example.reason) == (None, "mask_size")


def test_a_mask_of_an_image_whose_size_cannot_be_known(tmp_path):
    files = {"images/a.jpg": b"no image", "masks/a.png": MASK, "classes.txt": PLAIN}
    (example,) = read(write_files(tmp_path / "data", files))[1].values()
    assert (example.data, example.size) == (b"no image", (5, 6))
