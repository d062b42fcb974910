"""A single-shot detector."""

import math

import keras
import tensorflow as tf

from conveyor.models.detection.anchors import anchors_of, chosen_shapes
from conveyor.models.detection.detector import Detector
from conveyor.models.detection.losses import hardest, overlap_loss, sigmoid_focal, smooth_l1
from conveyor.models.detection.settings import DETECTIONS
from conveyor.models.layers.feature_levels import feature_levels
from conveyor.models.layers.feature_pyramid import feature_pyramid
from conveyor.models.ops.assignment import IGNORED, take
from conveyor.models.ops.boxes import iou
from conveyor.models.ops.offsets import decode, encode

_PRIOR = 0.01  # what an untrained model takes for an object: so background does not drown the first steps
_ALPHA = 0.25  # of focal loss, equation 5 there


@keras.saving.register_keras_serializable("conveyor")
class SSD(Detector):
    """Classes and offsets of anchors at each place of several feature maps.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of classes, without background.
        backbone: Settings of a classifier, with its `family`.
        finest: log2 of the stride of the first level.
        coarsest: log2 of that of the last; those that the backbone lacks are added.
        anchors: "regular", or "auto", whose shapes `fitted` finds.
        scales: Square roots of the areas of regular anchors, in strides.
        aspect_ratios: Width / height of regular anchors.
        per_place: Fitted anchors at each place.
        shapes: Width and height in pixels of the anchors of each level; in place of all those.
        pyramid: Whether fine levels are told what coarse ones have seen; all levels share a head then.
        filters: Channels of the pyramid, of added levels and of the head's convolutions.
        head_convolutions: 3x3 convolutions before the last, for classes and for offsets each.
        positive: IoU in (0, 1] from which an anchor is to find a box.
        negative: IoU in [0, positive] below which it is background.
        class_loss: "mining" (softmax, with background as the last class), "focal" or "quality" (sigmoids).
        mining_ratio: Background anchors for each that finds a box.
        focal_gamma: Power of the focal losses.
        box_loss: "smooth_l1" of offsets, "giou" or "diou".
        box_weight: Of the loss of boxes.
        detections: Fields of `DetectionsSettings`.

    Returns:
        A model from float32 [n, height, width, channels] to `logits` float32 [n, a, classes], with
        "mining" [n, a, classes + 1], and `offsets` float32 [n, a, 4] from the anchors.

    Raises:
        ValueError: The backbone lacks a level, the images differ in size, or "auto" has no shapes.

    Source: Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016; Lin et al., "Focal loss for dense
    object detection", ICCV 2017, for the pyramid and the shared head.
    """

    features_layer = "features"

    def __init__(
        self,
        image_shape,
        classes,
        backbone,
        finest=3,
        coarsest=5,
        anchors="regular",
        scales=(3.0, 4.24),
        aspect_ratios=(0.5, 1.0, 2.0),
        per_place=3,
        shapes=None,
        pyramid=True,
        filters=64,
        head_convolutions=1,
        positive=0.5,
        negative=0.4,
        class_loss="mining",
        mining_ratio=3.0,
        focal_gamma=2.0,
        box_loss="smooth_l1",
        box_weight=1.0,
        detections=DETECTIONS,
        **kwargs,
    ):
        levels = range(finest, coarsest + 1)
        found = chosen_shapes(anchors, levels, scales, aspect_ratios, shapes)
        anchor_levels = anchors_of(image_shape, levels, found)
        # === layers ===
        outputs = classes + 1 if class_loss == "mining" else classes
        head = _Head(filters, head_convolutions, len(found[0]), outputs, class_loss != "mining")
        # === functional ===
        network = feature_levels(backbone, image_shape, finest, coarsest)
        maps = dict(network.maps)
        last = max(maps)
        maps[last] = keras.layers.Identity(name="features")(maps[last])
        maps = feature_pyramid(maps, filters, coarsest) if pyramid else _extended(maps, filters, coarsest)
        super().__init__(
            inputs=network.inputs,
            outputs=head(maps, shared=pyramid),
            detections=detections,
            **kwargs,
        )
        self.stands_on(network.source)
        self.classes = classes
        self.positive_iou, self.negative_iou = positive, negative
        self.anchor_levels = anchor_levels
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "backbone": dict(backbone),
            "finest": finest,
            "coarsest": coarsest,
            "pyramid": pyramid,
            "filters": filters,
            "head_convolutions": head_convolutions,
            "anchors": anchors,
            "scales": list(scales),
            "aspect_ratios": list(aspect_ratios),
            "per_place": per_place,
            "shapes": shapes,
            "positive": positive,
            "negative": negative,
            "class_loss": class_loss,
            "mining_ratio": mining_ratio,
            "focal_gamma": focal_gamma,
            "box_loss": box_loss,
            "box_weight": box_weight,
            "detections": dict(detections),
        }

    # === training ===

    def losses_of(self, inputs, targets, raw, training):
        del inputs, training
        how, anchors = self.arguments, self.anchors()
        logits, offsets = (tf.cast(raw[name], tf.float32) for name in ("logits", "offsets"))
        matched = self.assigned(targets)
        boxes, labels = take(matched, tf.cast(targets["boxes"], tf.float32), targets["labels"])
        positive = matched >= 0
        count = tf.maximum(tf.reduce_sum(tf.cast(positive, tf.float32)), 1.0)
        if how["box_loss"] == "smooth_l1":
            apart = smooth_l1(offsets, encode(boxes, anchors))
        else:
            apart = overlap_loss(decode(offsets, anchors), boxes, how["box_loss"])
        box_loss = tf.reduce_sum(tf.where(positive, apart, 0.0)) / count
        if how["class_loss"] == "mining":
            class_loss = self._mined(logits, labels, positive)
        else:
            wanted, quality = tf.one_hot(labels, self.classes), how["class_loss"] == "quality"
            if quality:
                wanted *= tf.stop_gradient(iou(decode(offsets, anchors), boxes))[..., tf.newaxis]
            loss = sigmoid_focal(logits, wanted, how["focal_gamma"], None if quality else _ALPHA)
            counts = tf.cast(matched != IGNORED, tf.float32)[..., tf.newaxis]
            class_loss = tf.reduce_sum(loss * counts)
        return {"box_loss": how["box_weight"] * box_loss, "class_loss": class_loss / count}

    def _mined(self, logits, labels, positive):
        """Returns the sum of cross-entropies of anchors that find a box, and of the hardest that do not."""
        wanted = tf.where(positive, labels, self.classes)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
        # an image without boxes is background too
        found = tf.maximum(tf.reduce_sum(tf.cast(positive, tf.float32), 1), 1.0)
        count = tf.cast(self.arguments["mining_ratio"] * found, tf.int32)
        background = labels == -1
        hard = hardest(tf.stop_gradient(loss), background, count)
        return tf.reduce_sum(tf.where(positive | hard, loss, 0.0))

    # === serving ===

    def scored(self, inputs, raw):
        del inputs
        logits = tf.cast(raw["logits"], tf.float32)
        boxes = decode(raw["offsets"], self.anchors())
        if self.arguments["class_loss"] == "mining":
            return boxes, tf.nn.softmax(logits)[..., :-1]
        return boxes, tf.sigmoid(logits)


def _extended(maps, filters, coarsest):
    """Returns the maps and those made of the last: half as wide inside, as SSD's extra layers."""
    maps = dict(maps)
    for level in range(max(maps) + 1, coarsest + 1):
        shared = {"padding": "same", "activation": "relu"}
        narrow = keras.layers.Conv2D(filters // 2 or 1, 1, **shared, name=f"narrow_{level}")(maps[level - 1])
        maps[level] = keras.layers.Conv2D(filters, 3, 2, **shared, name=f"extra_{level}")(narrow)
    return maps


class _Head:
    """Makes what judges the anchors at each place.

    Args:
        filters: Channels of the convolutions before the last.
        convolutions: Their number.
        per_place: Anchors at each place.
        outputs: Logits of an anchor.
        rare: Whether the logits begin where a class is rare.
    """

    def __init__(self, filters, convolutions, per_place, outputs, rare):
        self.filters, self.convolutions = filters, convolutions
        self.last = {"logits": per_place * outputs, "offsets": per_place * 4}
        self.numbers = {"logits": outputs, "offsets": 4}
        prior = math.log(_PRIOR / (1 - _PRIOR)) if rare else 0.0
        self.biases = {"logits": keras.initializers.Constant(prior), "offsets": "zeros"}

    def __call__(self, maps, shared):
        """Returns `logits` and `offsets` of all anchors, level by level."""
        outputs = {}
        for name in self.last:
            layers = {level: self._layers(name, f"_{level}") for level in maps} if not shared else {}
            common = self._layers(name, "") if shared else []
            flat = []
            for level in sorted(maps):
                features = maps[level]
                for layer in layers.get(level, common):
                    features = layer(features)
                flatten = keras.layers.Reshape((-1, self.numbers[name]), name=f"{name}_flat_{level}")
                flat.append(flatten(features))
            join = keras.layers.Concatenate(axis=1, dtype="float32", name=name)
            outputs[name] = join(flat) if len(flat) > 1 else _float32(name)(flat[0])
        return outputs

    def _layers(self, name, suffix):
        shared = {"padding": "same", "kernel_initializer": "he_normal"}
        body = [
            keras.layers.Conv2D(
                self.filters, 3, **shared, activation="relu", name=f"{name}_conv_{number}{suffix}"
            )
            for number in range(1, self.convolutions + 1)
        ]
        last = keras.layers.Conv2D(
            self.last[name],
            3,
            padding="same",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            bias_initializer=self.biases[name],
            name=f"{name}_last{suffix}",
        )
        return [*body, last]


def _float32(name):
    return keras.layers.Activation("linear", dtype="float32", name=name)
