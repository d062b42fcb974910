import numpy as np
import pytest

from conveyor.components.leaks.fingerprint import SIZE, fingerprint, sizes, spectra, stack


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (3, 500), (480, 640)])
def test_size_is_fixed_and_the_size_of_the_image_is_kept(shape):
    data = fingerprint(np.full(shape, 7, np.uint8))
    assert len(data) == SIZE
    assert data[4:] == bytes([7]) * (SIZE - 4)
    assert sizes(stack([data])).tolist() == [[shape[1], shape[0]]]


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8)])
def test_other_arrays_are_refused(bad):
    with pytest.raises(ValueError, match="expected a non-empty"):
        fingerprint(bad)


def test_spectra_follow_the_content(textures):
    moved = np.roll(textures[0], (2, -2), (0, 1))
    one = spectra(stack([fingerprint(textures[0])]), 8)
    other = spectra(stack([fingerprint(moved)]), 8, (2, -2))
    assert np.abs(one - other).max() < 0.05 * np.abs(one).max()


def test_spectra_do_not_depend_on_the_other_images(textures):
    prints = stack([fingerprint(image) for image in [textures[0], textures[1][:40], textures[2][:, :30]]])
    alone = np.concatenate([spectra(prints[row : row + 1], 8, (0, 2)) for row in range(3)])
    np.testing.assert_allclose(spectra(prints, 8, (0, 2)), alone, rtol=1e-4, atol=1e-3)
