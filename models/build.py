"""Builds the Keras model that family settings describe."""

import importlib

import keras

from conveyor.models.families import FamilySettings

# Family -> "module:class". A family of its own: add a folder, a line here and one in families.py.
FAMILIES = {
    "cnn": "conveyor.models.cnn.cnn:CNN",
    "linear": "conveyor.models.linear.linear:Linear",
    "mlp": "conveyor.models.mlp.mlp:MLP",
}


def build_model(settings: FamilySettings, image_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Returns an untrained model.

    Args:
        settings: Settings of the family.
        image_shape: (height, width, channels) of the model input.
        classes: Number of classes.

    Raises:
        ValueError: The layers do not fit the image, such as more pooling than there are pixels.
    """
    module, _, name = FAMILIES[settings.family].partition(":")
    family = getattr(importlib.import_module(module), name)
    return family(image_shape, classes, name=settings.family, **settings.model_dump(exclude={"family"}))
