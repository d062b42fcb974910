import time

import hypothesis
import hypothesis.strategies as st
import numpy as np

from conveyor.components.leaks.fingerprint import SIZE, fingerprint, stack
from conveyor.components.leaks.search import candidate_pairs, near


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(st.integers(0, 2**32 - 1), st.integers(0, 15), st.integers(1, 40))
def test_all_within_the_radius_are_found(seed, radius, count):
    """Against comparing all with all; the hashes are a few bits from a few centres."""
    random = np.random.default_rng(seed)
    centres = random.integers(0, 2, (3, 128))
    bits = centres[random.integers(0, 3, count)] ^ (random.random((count, 128)) < 0.06)
    hashes = np.packbits(bits.astype(np.uint8), axis=1).view("<u2").astype(np.uint16)
    distance = (bits[:, None] != bits[None]).sum(2)
    expected = np.argwhere(distance <= radius)
    np.testing.assert_array_equal(near(hashes, hashes, radius, budget=1 << 20), expected)


def test_many_equal_hashes_stay_linear_and_linked():
    hashes = np.zeros((10_000, 8), np.uint16)
    began = time.monotonic()
    pairs = near(hashes, hashes, 15, budget=50)
    assert time.monotonic() - began < 20
    assert len(pairs) <= 50 * 8 * 10_000
    assert set(pairs[pairs[:, 0] == 0][:, 1].tolist()) == set(range(10_000))


def test_random_fingerprints_take_seconds():
    random = np.random.default_rng(0)
    prints = random.integers(0, 256, (20_000, SIZE), dtype=np.uint8)
    began = time.monotonic()
    candidate_pairs(prints)
    assert time.monotonic() - began < 60  # a few on an idle machine


def test_every_copy_is_a_candidate(textures, copy):
    images = textures[:100]
    prints = stack([fingerprint(image) for image in images + [copy(image) for image in images]])
    pairs = set(map(tuple, candidate_pairs(prints).tolist()))
    assert {(row, row + 100) for row in range(100)} <= pairs


def test_none():
    assert candidate_pairs(np.zeros((0, SIZE), np.uint8)).shape == (0, 2)
