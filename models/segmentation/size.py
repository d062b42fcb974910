"""What lets a segmenter take images of any size."""

import keras

from conveyor.models.layers.whole_strides import CropLike, PadToMultiple


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
