"""The registry of readers, the digits, and how a source is cut."""

import functools
import pickle

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st
from small_images import decode

from conveyor.components.example_gen.readers.digits import DigitsReader
from conveyor.components.example_gen.readers.reader import READERS, cut, open_source
from conveyor.pipeline.errors import UserError


@functools.cache
def digits():
    reader = pickle.loads(pickle.dumps(open_source("digits")))  # noqa: S301  as it is sent to workers
    return [example for chunk in reader.chunks() for example in reader.read(chunk)]


def test_digits_have_the_labels_of_their_source():
    _, labels = sklearn.datasets.load_digits(return_X_y=True)
    assert [int(example.label) for example in digits()] == labels.tolist()
    assert len({example.key for example in digits()}) == 1797
    assert {example.split for example in digits()} == {""}
    assert DigitsReader().classes() == [str(digit) for digit in range(10)]
    assert DigitsReader().splits() == set()


def test_digits_look_like_their_source():
    scans = sklearn.datasets.load_digits().images
    for example, scan in list(zip(digits(), scans, strict=True))[::50]:
        pixels = decode(example.data)
        assert (pixels.shape, pixels.dtype) == ((32, 32), np.uint8)
        small = pixels.reshape(8, 4, 8, 4).mean((1, 3))
        assert np.corrcoef(small.ravel(), scan.ravel())[0, 1] > 0.98


def test_digits_are_the_same_every_time(tmp_path):
    reader = DigitsReader()
    (first, *_) = reader.read(reader.chunks()[3])
    assert first in digits()
    assert reader.fingerprint(tmp_path) == DigitsReader().fingerprint(tmp_path / "other")


@pytest.mark.parametrize(
    ("source", "what", "fix"),
    [
        ("digits:8", "takes no argument", ""),
        ("digit", "there is no reader 'digit'", "did you mean 'digits'?"),
        ("Folder:data", "there is no reader 'Folder'", "did you mean 'folder'?"),
        ("", "there is no reader ''", "one of: " + ", ".join(sorted(READERS))),
        ("/data/images", "there is no reader '/data/images'", ""),
    ],
)
def test_sources_that_are_none(source, what, fix):
    with pytest.raises(UserError, match=what) as caught:
        open_source(source)
    assert fix in caught.value.fix


@given(st.integers(0, 100_000))
def test_cut(count):
    chunks = cut(range(count))
    assert [item for chunk in chunks for item in chunk] == list(range(count))
    sizes = [len(chunk) for chunk in chunks]
    assert all(64 <= size <= 2000 for size in sizes[:-1])
    assert all(0 < size <= 2000 for size in sizes)
    if count <= 32_000:
        assert len(chunks) <= 16
