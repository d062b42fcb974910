"""Arrays of images and labels in one file."""

import io
import pathlib
import pickle
import random
import zipfile

import numpy as np
import pytest
from small_images import damage, decode, noise

from conveyor.components.example_gen.readers import npz
from conveyor.components.example_gen.readers.npz import NpzReader
from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.pipeline.errors import UserError

X = noise(6 * 7, 5).reshape(7, 6, 5)
Y = np.array([0, 1, 10, 2, 1, 0, 1])


def save(tmp_path, compress=False, **arrays):
    (np.savez_compressed if compress else np.savez)(tmp_path / "a.npz", **arrays)
    return str(tmp_path / "a.npz")


def read(path):
    """Returns the reader and key -> example."""
    reader = NpzReader(path)
    reader.classes()
    chunks, worker = pickle.loads(pickle.dumps((reader.chunks(), reader)))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    assert all(bool(example.data) or (example.error and example.reason in REASONS) for example in examples)
    return reader, found


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
def test_plain(tmp_path, names, compress):
    reader, found = read(save(tmp_path, compress, **dict(zip(names, (X, Y), strict=True))))
    assert reader.classes() == ["0", "1", "2", "10"]
    assert reader.splits() == set()
    assert reader.annotations == {"label"}
    assert [example.label for example in found.values()] == list(map(str, Y))
    np.testing.assert_array_equal(decode(found["00000002"].data), X[2])


@pytest.mark.parametrize("form", ["x_{}", "{}_images"])
def test_splits(tmp_path, form):
    labels = form.replace("x", "y").replace("images", "labels")
    arrays = {form.format(s): X[:n] for s, n in (("train", 4), ("val", 2), ("test", 1))}
    arrays |= {labels.format(s): Y[:n, None] for s, n in (("train", 4), ("val", 2), ("test", 1))}
    reader, found = read(save(tmp_path, **arrays))
    assert reader.splits() == {"train", "validation", "test"}
    assert sorted(found)[:2] == ["test/00000000", "train/00000000"]
    assert len(found) == 7


@pytest.mark.parametrize(
    ("images", "pixels"),
    [
        (X[..., None], X),
        (np.stack([X] * 3, -1), np.stack([X] * 3, -1)),
        (np.stack([X] * 4, -1), np.stack([X] * 4, -1)),
        ((X / 255).astype(np.float32), X),
        ((X / 255).astype(">f8"), X),
        (X.astype(np.float16), X),
        (X.astype(np.int64), X),
        (X > 128, np.uint8(X > 128) * 255),
        (X.astype(np.uint16) << 8 | 3, X),
    ],
)
def test_values_become_8_bits(tmp_path, images, pixels, monkeypatch):
    monkeypatch.setattr(npz, "_BLOCK", 100)  # several blocks
    _, found = read(save(tmp_path, x=images, y=Y))
    for place, example in enumerate(found.values()):
        np.testing.assert_array_equal(decode(example.data), pixels[place])


def test_text_labels_and_names(tmp_path):
    reader, found = read(save(tmp_path, x=X, y=Y.astype(str)))
    assert reader.classes() == ["0", "1", "2", "10"]
    reader, found = read(save(tmp_path, x=X, y=Y.astype(float), classes=np.array(["a", "b", "c"])))
    assert reader.classes() == ["a", "b", "c"]
    assert (found["00000002"].reason, found["00000002"].data) == ("unknown_class", None)
    assert found["00000003"].label == "c"


def test_images_with_values_that_are_no_numbers(tmp_path):
    images = X / 255
    images[3, 0, 0] = np.nan
    _, found = read(save(tmp_path, x=images, y=Y))
    assert [key for key, example in found.items() if example.data is None] == ["00000003"]


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"x": X}, "no 'y'"),
        ({"a": X, "y2": Y}, "no arrays of images"),
        ({"x": X, "y": Y[:6]}, "not one label"),
        ({"x": X, "y": np.eye(7)}, "one-hot"),
        ({"x": X, "y": np.array([object()] * 7)}, "Python objects"),
        ({"x": np.array([None] * 7), "y": Y}, "Python objects"),
        ({"x": X, "y": Y + 0.5}, "no classes"),
        ({"x": X, "y": Y * 1j}, "neither numbers nor text"),
        ({"x": X - 300.0, "y": Y}, "outside [0, 255]"),
        ({"x": X.astype(int) * 9, "y": Y}, "outside [0, 255]"),
        ({"x": np.zeros((7, 3, 8, 9), np.uint8), "y": Y}, "moveaxis"),
        ({"x": X[0], "y": Y[:6]}, "shape"),
        ({"x": X[:0], "y": Y[:0]}, "empty"),
        ({"x": np.asfortranarray(X), "y": Y}, "Fortran"),
        ({"x": X, "y": Y, "x_train": X, "y_train": Y}, "beside"),
        ({"x_val": X, "y_val": Y, "x_dev": X, "y_dev": Y}, "two arrays"),
    ],
)
def test_arrays_that_will_not_do(tmp_path, arrays, part):
    with pytest.raises(UserError) as error:
        read(save(tmp_path, **arrays))
    assert part in str(error.value)


@pytest.mark.parametrize("name", ["MAX_BYTES", "MAX_LABEL_BYTES"])
def test_declared_sizes_are_limited(tmp_path, monkeypatch, name):
    monkeypatch.setattr(npz, name, 20)
    with pytest.raises(UserError, match="too large"):
        NpzReader(save(tmp_path, x=X, y=Y))


def test_headers_that_claim_what_is_not_there(tmp_path):
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 6, 5)}
    np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", file.getvalue() + b"\0" * 30)
        archive.writestr("y.npy", file.getvalue())
    with pytest.raises(UserError, match="not as long"):
        NpzReader(str(tmp_path / "a.npz"))


def test_a_file_that_changes_under_way(tmp_path):
    path = save(tmp_path, compress=True, x=X, y=Y)
    reader = NpzReader(path)
    chunks = reader.chunks()
    save(tmp_path, compress=True, x=X[:3], y=Y[:3])
    examples = [example for chunk in chunks for example in reader.read(chunk)]
    assert len(examples) == 7
    assert examples[-1].reason == "truncated"


@pytest.mark.parametrize("name", ["", "none.npz", "."])
def test_no_file(name):
    with pytest.raises(UserError):
        NpzReader(name)


def test_fingerprint_follows_content(tmp_path):
    first = NpzReader(save(tmp_path, x=X, y=Y)).fingerprint(tmp_path)
    assert NpzReader(save(tmp_path, x=X[::-1].copy(), y=Y)).fingerprint(tmp_path) != first


def test_damaged_files(tmp_path):
    dice, kept = random.Random(0), 0  # noqa: S311
    sources = [
        pathlib.Path(save(tmp_path, compress, x=images, y=labels)).read_bytes()
        for compress in (False, True)
        for images in (X, X / 255)
        for labels in (Y, Y.astype(str))
    ]
    for _ in range(400):
        (tmp_path / "b.npz").write_bytes(damage(dice.choice(sources), dice))
        try:
            _, found = read(str(tmp_path / "b.npz"))
        except UserError:
            continue
        assert len(found) == 7
        kept += 1
    assert 0 < kept < 200


def test_damaged_arrays_with_right_checksums(tmp_path):
    dice = random.Random(1)  # noqa: S311
    files = {}
    for name, array in (("x", X), ("y", Y), ("classes", np.array(["a", "b"]))):
        file = io.BytesIO()
        np.save(file, array)
        files[f"{name}.npy"] = file.getvalue()
    for _ in range(300):
        with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, damage(data[:128], dice) + data[128:] if dice.random() < 0.4 else data)
        try:
            reader, found = read(str(tmp_path / "b.npz"))
        except UserError:
            continue
        assert len(found) == sum(reader._arrays[images].shape[0] for images, _ in reader._pairs.values())
