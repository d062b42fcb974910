"""The augmentation of training batches, each batch's randomness a function of its number."""

import tensorflow as tf

from conveyor.models.augmentation.layers import make_layer
from conveyor.models.augmentation.seeds import Seeds, batch_seed
from conveyor.models.augmentation.steps import Batch
from conveyor.models.settings import AugmentationSettings


class Augmentation:
    """A chain of Keras's random image layers.

    Args:
        layers: Each a name, such as "random_translation", and the layer's arguments.
        seed: Of all randomness.

    Raises:
        ValueError: There is no such layer, or it does not take an argument or its value.
    """

    def __init__(self, layers: AugmentationSettings, seed: int):
        self._seed = seed
        named = [item for layer in layers for item in layer.items()]
        self._steps = [(name, make_layer(name, arguments)) for name, arguments in named]

    @tf.autograph.experimental.do_not_convert
    def __call__(self, batch: Batch, number: tf.Tensor) -> Batch:
        """Augments a batch, in a graph or not; the same for the same seed, number and batch.

        Args:
            batch: `images` uint8 or float32 [n, height, width, channels] in [0, 255]; if there are any
                `labels` float32 [n, classes], `segmentation_masks` uint8 or int32 [n, height, width, 1],
                `bounding_boxes` {`boxes` float32 [n, m, 4] xyxy in pixels, `labels` int32 [n, m], -1 is
                padding}; what has other keys stays as it is.
            number: int64 [], another for each batch; decides all that is random.

        Returns:
            Likewise, images float32. Mixing layers make m larger.

        Raises:
            ValueError: A layer is not for images of so many channels or pixels, or not for such annotations.
        """
        seed = batch_seed(self._seed, number)
        for position, (name, step) in enumerate(self._steps):
            seeds = Seeds(tf.random.experimental.stateless_fold_in(seed, position))
            try:
                batch = step(batch, seeds)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return {**batch, "images": tf.cast(batch["images"], tf.float32)}
