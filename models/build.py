"""Builds the Keras model that family settings describe."""

import importlib
import typing

from conveyor.models.families import FamilySettings
from conveyor.models.model import Model

# Family -> "module:class". A family of its own: add a folder, a line here and one in families.py.
FAMILIES = {
    "autoencoder": "conveyor.models.autoencoder.autoencoder:Autoencoder",
    "cnn": "conveyor.models.cnn.cnn:CNN",
    "linear": "conveyor.models.linear.linear:Linear",
    "mlp": "conveyor.models.mlp.mlp:MLP",
    "pretrained": "conveyor.models.pretrained.pretrained:Pretrained",
    "resnet": "conveyor.models.resnet.resnet:ResNet",
    "spatial_transformer": "conveyor.models.spatial_transformer.spatial_transformer:SpatialTransformer",
}


def build_model(
    settings: FamilySettings, image_shape: tuple[int, ...], arguments: dict[str, typing.Any]
) -> Model:
    """Returns an untrained model.

    Args:
        settings: Settings of the family.
        image_shape: (height, width, channels) of the model input.
        arguments: What the task says, such as the number of classes (see `Task.model_arguments`).

    Raises:
        ValueError: The layers do not fit the image, such as more pooling than there are pixels.
    """
    family = family_class(settings.family)
    return family(image_shape, **arguments, name=settings.family, **settings.model_dump(exclude={"family"}))


def family_class(family: str) -> type[Model]:
    """Returns the class of a family; Keras knows how to load it then."""
    module, _, name = FAMILIES[family].partition(":")
    return getattr(importlib.import_module(module), name)
