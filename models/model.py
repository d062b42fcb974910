"""The base of all model families."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.multi_worker import MultiWorker

NOT_FINITE = "loss or gradient is no number"  # how training tells that this is why it stopped


class Model(MultiWorker):
    """A functional graph that knows how its weights are to be trained."""

    frozen_epochs: int = 0
    """For so many epochs, weights that `is_pretrained` do not move."""

    arguments: dict[str, typing.Any] = {}
    """What the model was made with, in plain values; a subclass sets it at the end of its `__init__`."""

    features_layer: str = ""
    """Name of the layer whose output is the features that the head works on."""

    anchor_levels: typing.Sequence[np.ndarray] = ()
    """Of a detector with anchors: those of each feature map, float32 [a, 4], xyxy in pixels of the input."""

    positive_iou: float = 0.5
    """IoU from which such an anchor is trained to find a box."""

    _source: tuple[typing.Callable[..., typing.Any], ...] = ()

    @classmethod
    def fitted(cls, arguments: dict[str, typing.Any], sizes: np.ndarray) -> dict[str, typing.Any]:
        """Returns the arguments to make a model with, after a look at the training data's boxes.

        Args:
            arguments: As its settings say.
            sizes: float64 [n, 2], widths and heights, in pixels of the model's input.
        """
        del sizes
        return arguments

    def backbone(self) -> keras.Model:
        """Returns the part before the head; its weights are this model's.

        Returns:
            A model from float32 [n, height, width, channels] to features: the last feature map
            [n, rows, columns, channels], or [n, features] where the family has none.
        """
        return keras.Model(self.inputs, self.get_layer(self.features_layer).output, name="backbone")

    def serve(self, inputs: tf.Tensor) -> typing.Any:
        """Returns what `Task.decode` is given of a batch of inputs, in a graph: what is exported."""
        return self(inputs, training=False)

    def stands_on(self, source: "Model") -> None:
        """Says which classifier, without its head, this is made on: its weights learn as its settings say.

        Args:
            source: It; `arguments["backbone"]` are its settings.
        """
        self.frozen_epochs = source.frozen_epochs
        # methods, as Keras would take the classifier itself, with its head, for a part of this
        self._source = source.is_pretrained, source.learning_rate_factor, source.get_config

    def get_config(self) -> dict[str, typing.Any]:
        """Returns the arguments that make an equal model, untrained."""
        config = {**self.arguments, "name": self.name}
        if self._source and "backbone" in config["backbone"]:  # its weights come with it, not from a file
            trained = self._source[2]()["backbone"]
            config["backbone"] = {**config["backbone"], "backbone": trained}
        return config

    def is_pretrained(self, variable: keras.Variable) -> bool:
        """Whether a weight comes from an earlier training."""
        return bool(self._source) and self._source[0](variable)

    def learning_rate_factor(self, variable: keras.Variable) -> float:
        """Returns what the learning rate of a weight is multiplied by, in [0, 1]."""
        return self._source[1](variable) if self._source else 1.0

    def train_step(self, data: typing.Any) -> dict[str, tf.Tensor]:
        """One step of training, as Keras's; weights do not move where loss or gradient is no number.

        Raises:
            tf.errors.InvalidArgumentError: It is so (but not under XLA, which knows no assertions).
        """
        inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            raw = self(inputs, training=True)
            loss = self.compute_loss(inputs, targets, raw, weights, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        with tf.control_dependencies([_assert_finite([loss, *gradients])]):
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        replicas = tf.distribute.get_strategy().num_replicas_in_sync  # the loss is a share of the batch's
        count = tf.shape(tf.nest.flatten(inputs)[0])[0]
        self._loss_tracker.update_state(loss * replicas, sample_weight=count)
        return self.compute_metrics(inputs, targets, raw, weights)

    def compute_metrics(
        self, x: typing.Any, y: typing.Any, y_pred: typing.Any, sample_weight: typing.Any = None
    ) -> dict[str, tf.Tensor]:
        """Returns the metrics of outputs that have a target; an autoencoder's code has none."""
        if isinstance(y, dict) and isinstance(y_pred, dict):
            y_pred = {name: y_pred[name] for name in y}
        return super().compute_metrics(x, y, y_pred, sample_weight)


def _assert_finite(tensors: list[typing.Any]) -> tf.Operation | None:
    # A sum is finite only if all its terms are, and costs one pass over them.
    sums = [tf.reduce_sum(tf.convert_to_tensor(tensor)) for tensor in tensors if tensor is not None]
    finite = tf.reduce_all([tf.math.is_finite(tf.cast(total, tf.float32)) for total in sums])
    return tf.debugging.Assert(finite, [NOT_FINITE])
