"""Opens backbones: of keras.applications, or of a saved model."""

import os
import re
import sys
import typing

import keras

from conveyor.models.model import Model
from conveyor.models.pretrained.settings import BackboneSettings

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@keras.saving.register_keras_serializable("conveyor")
class ApplicationPreprocessing(keras.layers.Layer):
    """What keras.applications does to the pixels before one of its models.

    Args:
        application: Name of the model, such as "resnet50".

    Input: float32 [n, height, width, 3] in [0, 1]. Output: the same shape, in the model's own range.
    """

    def __init__(self, application, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})  # pixels up to 255 are not exact in bfloat16
        self.application = application
        self._preprocess = sys.modules[_constructor(application).__module__].preprocess_input

    def call(self, images):
        return self._preprocess(images * 255.0, data_format="channels_last")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "application": self.application}


def open_backbone(
    settings: BackboneSettings, image_shape: tuple[int, ...]
) -> tuple[keras.layers.Layer, keras.Model]:
    """Returns the preprocessing of a backbone, and the backbone itself.

    Args:
        settings: What to open.
        image_shape: (height, width, channels) of the model input, in [0, 1].

    Raises:
        ValueError: It cannot be opened, or does not fit the images.
    """
    if settings.application:
        return _open_application(settings, image_shape)
    if not settings.path:
        raise ValueError(f"expected the path of a saved model. Received: backbone={_named(settings)}")
    network = _features(load_model(settings.path))
    if network.input_shape[1:] != image_shape:
        raise ValueError(
            f"expected images of the shape that the backbone takes, {_by(network.input_shape[1:])}."
            f" Received: {_by(image_shape)}"
        )
    for layer in network._flatten_layers(include_self=False):
        layer.dtype_policy = keras.config.dtype_policy()  # of this training, not of the earlier one
    _freeze_statistics(network)
    return _normalization(settings, image_shape[-1]), network


def _freeze_statistics(network: keras.Model) -> None:
    """Makes batch normalisation use the statistics it came with: a few small batches tell less."""
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # of this layer, Keras takes it for that too


def _open_application(
    settings: BackboneSettings, image_shape: tuple[int, ...]
) -> tuple[keras.layers.Layer, keras.Model]:
    if settings.is_trained and image_shape[-1] != 3:
        shape = (*image_shape[:-1], 3)
        raise ValueError(
            f"expected images of shape {_by(shape)}, as the weights of {settings.application} are for 3"
            f" channels (transform.channels=3 makes RGB of grey). Received: {_by(image_shape)}"
        )
    from_file = settings.weights not in ("none", "imagenet")
    try:
        network = _constructor(str(settings.application))(
            include_top=False,
            weights="imagenet" if settings.weights == "imagenet" else None,
            input_shape=image_shape,
        )
    except ValueError as error:
        told = str(error)
        raise ValueError(f"{settings.application}, for images of {_by(image_shape)}: {told}") from None
    except Exception as error:  # get_file raises nothing narrower
        if "URL fetch failure" not in str(error):
            raise
        raise ValueError(
            f"the imagenet weights of {settings.application} cannot be downloaded: {error}."
            " Offline, name a file of them in model.backbone.weights"
        ) from None
    if from_file:
        _load_weights(network, settings)
    if settings.is_trained:
        _freeze_statistics(network)
    network = keras.Model(network.inputs, network.outputs[0], name="backbone")
    return ApplicationPreprocessing(settings.application, name="preprocessing"), network


def _load_weights(network: keras.Model, settings: BackboneSettings) -> None:
    try:
        network.load_weights(settings.weights)
    except (ValueError, OSError, KeyError) as error:
        lines = [_ANSI.sub("", line).strip() for line in str(error).splitlines()]
        # the shapes stand in one of the lines, the layer's name in the one before
        telling = [line for line in lines if "shape" in line.lower()] or lines
        raise ValueError(
            f"expected weights of {settings.application} without its top, {network.count_params()}"
            f" parameters. Received: {os.path.basename(settings.weights)}, which does not fit: {telling[0]}"
        ) from None


def load_model(path: str) -> keras.Model:
    """Loads a .keras file without running code that it brings.

    Raises:
        ValueError: It is no .keras file, or holds layers that are not known.
    """
    from conveyor.models.build import FAMILIES, family_class

    for family in FAMILIES:  # their classes are known to Keras only then
        family_class(family)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = _ANSI.sub("", str(error)).strip().partition("\n")[0]
        raise ValueError(f"the backbone {os.path.basename(path)} cannot be loaded: {reason}") from None
    return model


def _features(model: keras.Model) -> keras.Model:
    """Returns a model up to the features that its head works on."""
    if isinstance(model, Model):
        return model.backbone()
    maps = [
        layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer) and len(layer.output.shape) == 4
    ]
    if not maps:
        raise ValueError(f"expected a model with a feature map. Received: {model.name}, which has none")
    return keras.Model(model.inputs, maps[-1].output, name="backbone")


def _normalization(settings: BackboneSettings, channels: int) -> keras.layers.Layer:
    """Makes of [0, 1] what the backbone was trained on: (pixel - mean) / std."""
    mean, std = settings.mean or [0.0] * channels, settings.std or [255.0] * channels
    if len(mean) != channels:
        raise ValueError(f"expected mean and std of {channels} channels. Received: mean={mean}, std={std}")
    scale = [255.0 / value for value in std]
    offset = [-one / other for one, other in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")


def blocks(network: keras.Model, start: int = 0) -> dict[int, int]:
    """Returns the id of each weight -> number of its block, counted from the input.

    A layer with a stride begins a block; a layer that joins branches is in the later one's.
    """
    found: dict[int, int] = {}
    at: dict[int, int] = {}  # tensor -> block
    for operation in getattr(network, "operations", network.layers):
        # not operation.input: that of a nested model is a tensor inside it
        inputs = [tensor for node in operation._inbound_nodes for tensor in node.input_tensors]
        block = max((at.get(id(tensor), start) for tensor in inputs), default=start)
        if isinstance(operation, keras.Model):
            inner = blocks(operation, block)
            found.update(inner)
            block = max([block, *inner.values()])
        else:
            block += max(_strides(operation)) > 1
            found.update({id(variable): block for variable in getattr(operation, "variables", [])})
        outputs = [tensor for node in operation._inbound_nodes for tensor in node.output_tensors]
        at.update({id(tensor): block for tensor in outputs})
    return found


def _strides(operation: keras.Operation) -> tuple[int, ...]:
    strides = getattr(operation, "strides", 1)
    return tuple(strides) if isinstance(strides, tuple | list) else (int(strides),)


def _constructor(application: str) -> typing.Any:
    """Returns the function of keras.applications of a name such as "efficientnetv2-b0"."""
    plain = application.replace("-", "")
    return next(
        function
        for name, function in vars(keras.applications).items()
        if name.lower() == plain and callable(function)
    )


def _named(settings: BackboneSettings) -> str:
    return str({name: value for name, value in settings.model_dump().items() if value})


def _by(shape: tuple[int | None, ...]) -> str:
    return "x".join(str(side) for side in shape)
