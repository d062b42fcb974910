import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
import pytest

from conveyor.components.leaks.align import shifts, whole_shifts
from conveyor.components.leaks.confirm import LIMIT, doubts

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))
IMAGES = SHAPES.flatmap(lambda shape: hypothesis.extra.numpy.arrays(np.uint8, shape))


def test_copies_and_distinct_images(textures, copy):
    same = doubts([(image, copy(image)) for image in textures[:20]])
    other = doubts([(textures[row], copy(textures[row + 1])) for row in range(20)])
    assert (same <= LIMIT).all()
    assert (other > 3 * LIMIT).all()


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(IMAGES, IMAGES)
def test_any_two_images_have_a_doubt(one, other):
    (doubt,) = doubts([(one, other)])
    assert doubt >= 0  # not NaN


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 50))
def test_shifts_are_found_to_a_fraction_of_a_pixel(textures, down, right, seed):
    """Against the shift theorem: a phase ramp moves a periodic image exactly."""
    one = textures[seed].astype(np.float32)
    ramp = np.fft.fftfreq(64)[:, None] * down + np.fft.fftfreq(64)[None] * right
    other = np.fft.ifft2(np.fft.fft2(one) * np.exp(-2j * np.pi * ramp)).real.astype(np.float32)
    found = shifts(one[None], other[None], whole_shifts(one[None], other[None]))
    np.testing.assert_allclose(found, [[down, right]], atol=0.05)


def test_doubts_do_not_depend_on_the_rest_of_the_batch(textures, copy):
    pairs = [(image, copy(image)) for image in textures[:6]] + [(textures[0], textures[1][:40])]
    np.testing.assert_allclose(doubts(pairs), [doubts([pair])[0] for pair in pairs], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("other", "expected"), [(100, 0.0), (101, np.inf)])
def test_one_colour(other, expected):
    assert doubts([(np.full((4, 4), 100, np.uint8), np.full((5, 4), other, np.uint8))]) == [expected]


@pytest.mark.parametrize("level", [60, 235])
def test_skies_are_not_copies_of_one_another(level):
    """A ramp with a little noise, dark, or so bright that it may have been clipped."""
    ramp = np.linspace(-6, 6, 48)
    random = np.random.default_rng(0)
    skies = [level + ramp[:, None] * scale + random.normal(0, 0.6, (48, 48)) for scale in (0.8, 1, 1.1)]
    skies = [np.clip(np.rint(sky), 0, 255).astype(np.uint8) for sky in skies]
    assert (doubts([(skies[0], skies[1]), (skies[0], skies[2]), (skies[1], skies[2])]) > LIMIT).all()
