import io
import pickle

import numpy as np
import PIL.Image
import pytest

from conveyor.components.example_gen.distort import DistortedReader, with_distortion
from conveyor.components.example_gen.readers.folder import FolderReader
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.pipeline.errors import UserError


def settings(kind="RTS", splits=("train", "validation", "test"), **others):
    return ExampleGenSettings(source="folder:x", distort=kind, distort_splits=list(splits), **others)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)


def digit(seed):
    pixels = np.zeros((28, 28), np.uint8)
    pixels[6:22, 8:20] = np.random.default_rng(seed).integers(30, 255, (16, 12))
    return pixels


@pytest.fixture
def digits(tmp_path):
    for seed in range(40):
        split = "test" if seed < 8 else "train"
        save(tmp_path / split / "ab"[seed % 2] / f"{seed}.png", digit(seed))
    return tmp_path


def read(folder, **arguments):
    reader = with_distortion(FolderReader(str(folder)), settings(**arguments))
    return {raw.key: raw for chunk in reader.chunks() for raw in reader.read(chunk)}


def pixels(raw):
    return np.asarray(PIL.Image.open(io.BytesIO(raw.data)))


def test_nothing_is_done_unless_asked(digits):
    reader = FolderReader(str(digits))
    assert with_distortion(reader, settings("none")) is reader


@pytest.mark.parametrize(("kind", "side"), [("R", 28), ("RTS", 42), ("P", 28), ("E", 28)])
def test_every_image_is_distorted_once_and_for_all(digits, kind, side):
    first, again = read(digits, kind=kind), read(digits, kind=kind)
    assert first == again
    assert len(first) == 40
    for key, raw in first.items():
        found, before = pixels(raw), digit(int(key.split("/")[-1][:-4]))
        assert found.shape == (side, side)
        assert found.dtype == np.uint8
        assert raw.label in "ab"
        middle = found[7:-7, 7:-7] if side == 42 else found
        assert not np.array_equal(middle, before)
        assert 0.15 < found.mean() * side**2 / before.sum() < 1.6


def test_images_are_distorted_differently_and_copies_alike(tmp_path):
    for name in "abc":
        save(tmp_path / "train" / "x" / f"{name}.png", digit(name == "c"))
    found = read(tmp_path, kind="R")
    a, b, c = (pixels(found[key]) for key in sorted(found))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_other_splits_only_get_the_canvas(digits):
    found = read(digits, splits=("validation", "test"))
    raws = {split: [raw for raw in found.values() if raw.split == split] for split in ("train", "validation")}
    assert all(raws.values())
    for raw in raws["train"]:
        np.testing.assert_array_equal(pixels(raw), np.pad(digit(int(raw.key.split("/")[-1][:-4])), 7))
    whole = read(digits)
    assert all(whole[key].data == raw.data for key, raw in found.items() if raw.split != "train")
    plain = read(digits, kind="R", splits=("test",))
    key = raws["train"][0].key
    assert plain[key].data == (digits / key).read_bytes()


def test_splits_are_those_of_the_undistorted_images(digits):
    """So that a config with distortion is tested on the same digits as one without."""
    rotated, scaled = read(digits, kind="R"), read(digits, kind="RTS", splits=("test",))
    assert {key: raw.split for key, raw in rotated.items()} == {key: raw.split for key, raw in scaled.items()}
    assert {raw.split for key, raw in rotated.items() if key.startswith("test")} == {"test"}


def test_unfit_images_are_passed_on_or_set_aside(tmp_path):
    folder = tmp_path / "train" / "x"
    save(folder / "large.png", np.zeros((30, 28), np.uint8))
    save(folder / "colour.png", np.zeros((28, 28, 3), np.uint8))
    save(folder / "good.jpg", digit(1))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n????")
    found = {key.split("/")[-1]: raw for key, raw in read(tmp_path, kind="R").items()}
    assert found["large.png"].reason == found["colour.png"].reason == "image_size"
    assert "28x30, mode L" in found["large.png"].error
    assert found["large.png"].data is found["colour.png"].data is None
    assert found["broken.png"].data == (folder / "broken.png").read_bytes()
    assert PIL.Image.open(io.BytesIO(found["good.jpg"].data)).format == "JPEG"


def test_can_be_sent_to_workers(digits):
    reader = DistortedReader(FolderReader(str(digits)), settings("E"))
    sent = pickle.loads(pickle.dumps(reader))  # noqa: S301
    for chunk in reader.chunks():
        assert list(sent.read(chunk)) == list(reader.read(chunk))


@pytest.mark.parametrize(
    "others", [{"splits": {"stratify": True}}, {"splits": {"folds": 3}}, {"resplit": True}]
)
def test_splits_that_depend_on_one_another_are_refused(digits, others):
    how = ExampleGenSettings(source="folder:x", distort="R", **others)
    with pytest.raises(UserError, match="must know the split"):
        with_distortion(FolderReader(str(digits)), how)


def test_annotations_that_would_have_to_move_are_refused(digits):
    reader = FolderReader(str(digits))
    reader.annotations = frozenset({"label", "mask"})
    with pytest.raises(UserError, match="moves pixels only"):
        with_distortion(reader, settings())
