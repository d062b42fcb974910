"""The judge of masks: what class each pixel is, from its colour and surroundings at several scales.

Extremely randomised trees, trained on pixels of the images in the other folds.

Source: Geurts, Ernst, Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.ndimage
from sklearn.ensemble import ExtraTreesClassifier

from conveyor.components.label_errors.folds import FOLDS
from conveyor.models.void import VOID

_SCALES = (1.0, 2.0, 4.0, 8.0)  # standard deviations of the blur, in pixels
_TRAINED_ON = 60_000  # pixels in all
_OF_AN_IMAGE = 200  # pixels at most
_DIGITS = 6  # of probabilities, so that ties are ties on every machine


def held_out_pixels(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], folds: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields for each image what a model predicts that was trained on the other folds.

    Args:
        images: Each [height, width, 3] uint8.
        masks: Each [height, width] uint8: classes, or VOID.
        folds: [n] int64 in [0, FOLDS).

    Yields:
        Number of the image; the classes that the model knows, [k] uint8; and the probability of each in
        each pixel, [height, width, k] float64. Fold by fold.
    """
    sampled = _sample(images, masks)
    for fold in range(FOLDS):
        trained = [sampled[index] for index in np.flatnonzero(folds != fold).tolist()]
        model = ExtraTreesClassifier(20, min_samples_leaf=5, random_state=0, n_jobs=1)
        model.fit(*(np.concatenate(parts) for parts in zip(*trained, strict=True)))
        for index in np.flatnonzero(folds == fold).tolist():
            height, width, _ = images[index].shape
            chances = model.predict_proba(surroundings(images[index]).reshape(height * width, -1))
            yield index, model.classes_, chances.round(_DIGITS).reshape(height, width, -1)


def _sample(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns features and classes of some pixels of each image."""
    random = np.random.default_rng(0)
    count = max(1, min(_OF_AN_IMAGE, _TRAINED_ON // len(images)))
    sampled = []
    for image, mask in zip(images, masks, strict=True):
        known = np.flatnonzero(mask.ravel() != VOID)
        some = random.choice(known, min(count, len(known)), replace=False)
        features = surroundings(image)
        sampled.append((features.reshape(-1, features.shape[2])[some], mask.ravel()[some]))
    return sampled


def surroundings(image: np.ndarray) -> np.ndarray:
    """Returns colour, colour against the image's own, and local means and deviations of each pixel.

    Args:
        image: [height, width, 3] uint8.

    Returns:
        [height, width, 34] float32.
    """
    colour = image.astype(np.float32) / 255
    grey = colour.mean(2)
    parts = [colour, (colour - colour.mean((0, 1))) / (colour.std((0, 1)) + 0.02)]
    for scale in _SCALES:
        mean = scipy.ndimage.gaussian_filter(colour, (scale, scale, 0))
        squares = scipy.ndimage.gaussian_filter(grey * grey, scale)
        variance = squares - scipy.ndimage.gaussian_filter(grey, scale) ** 2
        parts += [mean, colour - mean, np.sqrt(np.maximum(variance, 0))[..., None]]
    return np.concatenate(parts, axis=2)
