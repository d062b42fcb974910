"""The base of the families of segmentation."""

import keras

from conveyor.models.layers.whole_strides import CropLike, PadToMultiple
from conveyor.models.model import Model

Shape = tuple[int | None, ...]


class Segmenter(Model):
    """A graph from an image to logits of each pixel; maybe on a classifier that was trained before."""

    def on(self, source: Model | None) -> None:
        """Says which classifier the backbone is of, whose settings say how its weights learn; or None."""
        self._source = lambda: source  # a model itself would be tracked, with the head that is left off
        self.frozen_epochs = source.frozen_epochs if source else 0

    def get_config(self):
        config = super().get_config()
        source = self._source()
        if source and "backbone" in config["backbone"]:  # its weights come with it, and not from a file
            config["backbone"] = {**config["backbone"], "backbone": source.get_config()["backbone"]}
        return config

    def is_pretrained(self, variable):
        source = self._source()
        return source is not None and source.is_pretrained(variable)

    def learning_rate_factor(self, variable):
        source = self._source()
        return source.learning_rate_factor(variable) if source else 1.0


def padded(image: keras.KerasTensor, stride: int) -> keras.KerasTensor:
    """Returns an image whose sides are multiples of a stride; itself where they are known to be."""
    if _is_whole(image, stride):
        return image
    return PadToMultiple(stride, name="padded")(image)


def cropped(logits: keras.KerasTensor, image: keras.KerasTensor) -> keras.KerasTensor:
    """Returns logits of the pixels that the image has."""
    if None not in logits.shape[1:3] and logits.shape[1:3] == image.shape[1:3]:
        return logits
    return CropLike(dtype="float32", name="cropped")([logits, image])


def _is_whole(image: keras.KerasTensor, stride: int) -> bool:
    return all(side is not None and side % stride == 0 for side in image.shape[1:3])
