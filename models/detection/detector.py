"""The base of all detectors."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.detection.anchors import fitted_shapes
from conveyor.models.detection.settings import DETECTIONS
from conveyor.models.model import Model
from conveyor.models.ops import boxes as box_ops
from conveyor.models.ops.assignment import assign
from conveyor.models.ops.suppression import Detections, candidates, soft_suppress, suppress, vote

Targets = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]

_CANDIDATES = 10  # pairs of a box and a class that are looked at for one that is kept


class Detector(Model):
    """A functional graph from images to raw outputs, which knows its loss and which boxes it means.

    A subclass makes the graph and says `losses_of` and `scored`; one that finds boxes in several steps
    overrides `serve`. Coordinates are xyxy in pixels of the model's input, and float32 throughout.

    Args:
        parts: Names of the parts of the loss, each a metric in the history; as `losses_of` returns them.
        detections: Fields of `DetectionsSettings`.
        arguments: Of `keras.Model`, such as `inputs`, `outputs` and `name`.
    """

    negative_iou: float = 0.4
    """IoU with any box below which an anchor is background."""

    def __init__(
        self,
        *,
        parts: typing.Sequence[str] = ("box_loss", "class_loss"),
        detections: dict[str, typing.Any] = DETECTIONS,
        **arguments: typing.Any,
    ):
        super().__init__(**arguments)
        self.detections = {**DETECTIONS, **detections}  # a model of before a setting was there has none
        # made here, as Keras lists only metrics that are there before the first step
        self._parts = {name: keras.metrics.Mean(name, dtype="float32") for name in parts}

    @classmethod
    def fitted(cls, arguments: dict[str, typing.Any], sizes: np.ndarray) -> dict[str, typing.Any]:
        """Returns the arguments with `shapes` that fit the training boxes, where `anchors` is "auto"."""
        if arguments["anchors"] != "auto" or arguments["shapes"] is not None:
            return arguments
        levels = range(arguments["finest"], arguments["coarsest"] + 1)
        return {**arguments, "shapes": fitted_shapes(levels, arguments["per_place"], sizes)}

    # === to be said by a subclass ===

    def losses_of(self, inputs: tf.Tensor, targets: Targets, raw: typing.Any, training: bool) -> Losses:
        """Returns the parts of the loss; their sum, and that of regularisers, is what is minimised.

        Args:
            inputs: float32 [n, height, width, channels].
            targets: `boxes` float32 [n, m, 4], xyxy in pixels of the inputs; `labels` int32 [n, m], -1 is
                padding; m >= 1.
            raw: Outputs of the graph.
            training: Whether weights are to move.

        Returns:
            Name -> float32 [], a mean over the batch.
        """
        raise NotImplementedError

    def scored(self, inputs: tf.Tensor, raw: typing.Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns all boxes, and how sure the model is of each class in each.

        Args:
            inputs: float32 [n, height, width, channels].
            raw: Outputs of the graph.

        Returns:
            Boxes [n, a, 4], or [n, a, classes, 4] where each class has its own; and scores
            [n, a, classes] in [0, 1], without background.
        """
        raise NotImplementedError

    # === shared ===

    def anchors(self) -> tf.Tensor:
        """Returns all anchors, level by level, float32 [a, 4], as constants of the graph."""
        return tf.concat([tf.constant(level) for level in self.anchor_levels], 0)

    def assigned(self, targets: Targets) -> tf.Tensor:
        """Returns the box that each anchor is to find, int32 [n, a], as `conveyor.models.ops.assignment`."""
        return assign(
            self.anchors(),
            targets["boxes"],
            targets["labels"],
            targets.get("ignored"),
            positive=self.positive_iou,
            negative=self.negative_iou,
        )

    def serve(self, inputs: tf.Tensor) -> Detections:
        """Returns what the model finds; this is what is exported.

        Args:
            inputs: float32 [n, height, width, channels].

        Returns:
            `boxes` float32 [n, most, 4], xyxy in pixels of the inputs; `scores` float32 [n, most],
            descending; `labels` int32 [n, most]. Padding has label and box -1, and score 0.
        """
        return self.keep(inputs, *self.scored(inputs, self(inputs, training=False)))

    def keep(self, inputs: tf.Tensor, boxes: tf.Tensor, scores: tf.Tensor) -> Detections:
        """Returns the best boxes within the image, without those that say the same again.

        Args:
            inputs: float32 [n, height, width, channels].
            boxes: As `scored` returns them.
            scores: The same.

        Returns:
            As `serve`; and `index` int32 [n, most], the candidate that each was, -1 for padding.
        """
        limit = self.detections["most"]
        height, width = tf.shape(inputs)[1], tf.shape(inputs)[2]
        taken, best, labels = candidates(boxes, scores, _CANDIDATES * limit)
        taken = box_ops.clip(taken, height, width)
        limits = {"limit": limit, "score_threshold": self.detections["score"]}
        if self.detections["soft"]:
            found = soft_suppress(taken, best, labels, **limits)
        else:
            found = suppress(taken, best, labels, iou_threshold=self.detections["iou"], **limits)
        if self.detections["vote"] is None:
            return found
        return vote(found, taken, best, labels, iou_threshold=self.detections["vote"])

    def compute_loss(
        self,
        x: typing.Any = None,
        y: typing.Any = None,
        y_pred: typing.Any = None,
        sample_weight: typing.Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns the sum of all parts, as Keras asks for it; they are metrics too."""
        del sample_weight  # a mean over objects has no use for weights of images
        parts = self.losses_of(x, y, y_pred, training)
        count = tf.shape(y["labels"])[0]
        for name, value in parts.items():
            self._parts[name].update_state(value, sample_weight=count)
        total = tf.add_n(
            [*parts.values(), *(tf.cast(tf.reduce_sum(term), tf.float32) for term in self.losses)]
        )
        return total / tf.distribute.get_strategy().num_replicas_in_sync  # Keras adds the replicas' up

    def compute_metrics(
        self, x: typing.Any, y: typing.Any, y_pred: typing.Any, sample_weight: typing.Any = None
    ) -> dict[str, tf.Tensor]:
        """Returns the loss and its parts; what a detector is worth is told by an evaluation."""
        del y, y_pred, sample_weight
        return super().compute_metrics(x, {}, {})
