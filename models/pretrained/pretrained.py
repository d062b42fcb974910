"""A classifier on a backbone that was trained before."""

import json

import keras

from conveyor.models.model import Model
from conveyor.models.pretrained.backbone import blocks, open_backbone
from conveyor.models.pretrained.settings import BackboneSettings


@keras.saving.register_keras_serializable("conveyor")
class Pretrained(Model):
    """A backbone with its own preprocessing, and a new head.

    A backbone with weights keeps its batch normalisation as it came, statistics, scales and offsets.
    All of it stands still for `frozen_epochs`; then it learns at lower rates than the head.

    Args:
        image_shape: (height, width, channels) of the model input, in [0, 1].
        classes: Number of logits.
        backbone: Fields of `BackboneSettings`; or, as in the config of a trained model, `layers`:
            preprocessing and backbone as Keras serialises them.
        head: "global_average" or "flatten", of the last feature map.
        dense: Width of the dense layer before the logits; 0 for none.
        dropout: Share in [0, 1) of features dropped in training, before each dense layer.
        frozen_epochs: Epochs in which only the head learns.
        rate: Learning rate of the backbone's last block, as a share in [0, 1] of the head's.
        rate_decay: What the rate is multiplied by from a block to the one before, in (0, 1].

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, classes].

    Raises:
        ValueError: The backbone cannot be opened, or does not fit the images.

    Source: Howard, Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
    section 3.2, for rates that differ by depth and for gradual unfreezing.
    """

    features_layer = "features"

    def __init__(
        self,
        image_shape,
        classes,
        backbone,
        head="global_average",
        dense=0,
        dropout=0.2,
        frozen_epochs=1,
        rate=0.1,
        rate_decay=1.0,
        **kwargs,
    ):
        # === layers ===
        layers = keras.layers
        if "layers" in backbone:
            preprocessing, network = map(keras.saving.deserialize_keras_object, backbone["layers"])
            trained = True
        else:
            settings = BackboneSettings.model_validate(backbone)
            preprocessing, network = open_backbone(settings, tuple(image_shape))
            trained = settings.is_trained
        stack = [layers.Identity(name="features")]
        if len(network.output_shape) == 4:
            pool = layers.GlobalAveragePooling2D if head == "global_average" else layers.Flatten
            stack.append(pool(name=head))
        if dense:
            stack += [layers.Dropout(dropout, name="head_dropout")] if dropout else []
            stack.append(layers.Dense(dense, activation="relu", name="head_dense"))
        stack += [layers.Dropout(dropout, name="dropout")] if dropout else []
        stack.append(layers.Dense(classes, dtype="float32", name="logits"))
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        features = network(preprocessing(inputs))
        for layer in stack:
            features = layer(features)
        super().__init__(inputs=inputs, outputs=features, **kwargs)
        # === config ===
        self.frozen_epochs = frozen_epochs
        self._rates = (rate, rate_decay)
        block_of = blocks(network) if trained else {}
        self._last_block = max(block_of.values(), default=0)
        self._block_of = block_of.get  # not the dict, which TensorFlow would track
        self._trained = (preprocessing, network) if trained else ()
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "backbone": {} if trained else dict(backbone),
            "head": head,
            "dense": dense,
            "dropout": dropout,
            "frozen_epochs": frozen_epochs,
            "rate": rate,
            "rate_decay": rate_decay,
        }

    def get_config(self):
        config = super().get_config()
        if self._trained:  # saved whole: whoever loads it needs neither the file nor a download
            layers = [keras.saving.serialize_keras_object(layer) for layer in self._trained]
            config["backbone"] = {"layers": json.loads(json.dumps(layers), object_hook=_without_address)}
        return config

    # === training ===

    def is_pretrained(self, variable):
        return self._block_of(id(variable)) is not None

    def learning_rate_factor(self, variable):
        block = self._block_of(id(variable))
        rate, decay = self._rates
        return 1.0 if block is None else rate * decay ** (self._last_block - block)


def _without_address(config):
    """Drops Keras's mark of an object that is there twice, here dtype policies: an address in memory."""
    return {key: value for key, value in config.items() if key != "shared_object_id"}
