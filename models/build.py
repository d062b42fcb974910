"""Builds the Keras model that family settings describe."""

import importlib
import typing

import numpy as np

from conveyor.models.families import FamilySettings
from conveyor.models.model import Model

# Family -> "module:class". A family of its own: add a folder, a line here and one in families.py.
FAMILIES = {
    "autoencoder": "conveyor.models.autoencoder.autoencoder:Autoencoder",
    "cnn": "conveyor.models.cnn.cnn:CNN",
    "deeplab": "conveyor.models.deeplab.deeplab:DeepLab",
    "faster_rcnn": "conveyor.models.faster_rcnn.faster_rcnn:FasterRCNN",
    "fcn": "conveyor.models.fcn.fcn:FCN",
    "linear": "conveyor.models.linear.linear:Linear",
    "mlp": "conveyor.models.mlp.mlp:MLP",
    "pretrained": "conveyor.models.pretrained.pretrained:Pretrained",
    "resnet": "conveyor.models.resnet.resnet:ResNet",
    "ssd": "conveyor.models.ssd.ssd:SSD",
    "spatial_transformer": "conveyor.models.spatial_transformer.spatial_transformer:SpatialTransformer",
    "unet": "conveyor.models.unet.unet:UNet",
}


def build_model(
    settings: FamilySettings,
    image_shape: tuple[int | None, ...],
    arguments: dict[str, typing.Any],
    sizes: np.ndarray | None = None,
) -> Model:
    """Returns an untrained model.

    Args:
        settings: Settings of the family.
        image_shape: (height, width, channels) of the model input.
        arguments: What the task says, such as the number of classes (see `Task.model_arguments`).
        sizes: Widths and heights of the training boxes, as `Model.fitted` takes them; None where there
            is no data.

    Raises:
        ValueError: The layers do not fit the image, such as more pooling than there are pixels.
    """
    family = family_class(settings.family)
    chosen = settings.model_dump(exclude={"family"})
    if sizes is not None:
        chosen = family.fitted(chosen, sizes)
    return family(image_shape, **arguments, name=settings.family, **chosen)


def family_class(family: str) -> type[Model]:
    """Returns the class of a family; Keras knows how to load it then."""
    module, _, name = FAMILIES[family].partition(":")
    return getattr(importlib.import_module(module), name)
