"""Cases of every model family, for the tests that all of them share; a new family adds its own here."""

import inspect

import keras
import numpy as np
import pydantic
import tensorflow as tf

from conveyor.models.build import build_model
from conveyor.models.families import FamilySettings
from conveyor.models.ops.instances import FIRST
from conveyor.models.tasks.settings import TaskSettings
from conveyor.models.tasks.task import make_task

# Not square, so that height and width cannot be mixed up; odd, so that halves are rounded.
IMAGE = (18, 17, 3)
CLASSES = ["ant", "bee", "cat", "dog"]
CASES = {
    "autoencoder": {"family": "autoencoder", "filters": [3, 5]},
    "autoencoder-dense": {"family": "autoencoder", "filters": [4], "code": 6, "activation": "elu"},
    "autoencoder-deep": {"family": "autoencoder", "filters": [3, 4], "convolutions": 2, "code_channels": 2},
    "autoencoder-variational": {"family": "autoencoder", "filters": [3], "code": 4, "variational": True},
    "autoencoder-places": {"family": "autoencoder", "filters": [3, 4], "variational": True, "beta": 0.5},
    "cnn": {"family": "cnn", "filters": [4, 6], "dense": 8},
    "cnn-all": {
        "family": "cnn",
        "filters": [3, 5],
        "convolutions": 2,
        "padding": "valid",
        "normalization": "batch",
        "activation": "gelu",
        "pooling": "average",
        "dense": 6,
        "dropout": 0.25,
        "initializer": "he_normal",
        "l1": 1e-4,
        "l2": 1e-3,
    },
    "cnn-bare": {"family": "cnn", "filters": [3], "kernel_size": 5, "pool_size": 1, "dense": 0},
    "cnn-strided": {
        "family": "cnn",
        "filters": [4, 6],
        "strides": 2,
        "pool_size": 1,
        "normalization": "group",
        "head": "global_average",
    },
    "cnn-dilated": {"family": "cnn", "filters": [4], "dilation": 2, "normalization": "layer", "dense": 0},
    "cnn-separable": {"family": "cnn", "filters": [4, 6], "separable": True, "normalization": "batch"},
    "cnn-layers": {
        "family": "cnn",
        "layers": [
            {"conv": {"filters": 5, "kernel_size": 5, "strides": 2, "padding": "valid"}},
            {"norm": "batch"},
            {"activation": "relu"},
            {"pool": {"size": 3, "strides": 2, "padding": "same"}},
            {"dropout": 0.1},
            {"conv": {"filters": 4, "dilation_rate": 2}},
            {"dense": 7},
        ],
    },
    "cnn-sequence": {"family": "cnn", "filters": [4, 6], "normalization": "batch", "head": "global_average"},
    "cnn-volume": {"family": "cnn", "filters": [3], "pooling": "average", "dense": 5},
    "deeplab": {"family": "deeplab", "filters": [3, 4, 6], "pyramid_filters": 5, "low_level_filters": 3},
    "deeplab-backbone": {
        "family": "deeplab",
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
        "output_level": 2,
        "low_level": 1,
        "rates": [1, 2],
        "pyramid_filters": 6,
        "image_pooling": False,
    },
    "fcn": {"family": "fcn", "filters": [3, 4, 6], "head_filters": 6, "dropout": 0.1, "shifts": [3]},
    "fcn-32s": {"family": "fcn", "filters": [4, 6], "skips": 0, "head_filters": 0, "normalization": "group"},
    "fcn-strided": {
        "family": "fcn",
        "filters": [3, 4],
        "convolutions": 1,
        "stem_strides": 2,
        "skips": 2,
        "skips_from": "blocks",
        "head_filters": 5,
    },
    "fcn-backbone": {
        "family": "fcn",
        "backbone": {"family": "cnn", "filters": [4, 5, 6], "normalization": "batch"},
        "skips": 1,
        "head_filters": 5,
    },
    "faster_rcnn": {
        "family": "faster_rcnn",
        "backbone": {"family": "cnn", "filters": [4, 6], "strides": 2, "pool_size": 1},
        "finest": 1,
        "coarsest": 3,
        "filters": 6,
        "scales": [2.0, 3.0],
        "proposals": {"before": 30, "most": 8},
        "regions": {"size": 3, "dense": [6], "sample": 8},
        "detections": {"most": 8},
    },
    "faster_rcnn-masks": {
        "family": "faster_rcnn",
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
        "finest": 1,
        "coarsest": 1,
        "filters": 5,
        "anchors": "auto",
        "shapes": [[[5.0, 6.0]]],
        "proposals": {"before": 20, "most": 6, "sample": 16},
        "regions": {"size": 3, "dense": [6], "sample": 6, "share": 0.5, "pooling": "pool"},
        "mask_head": True,
        "masks": {"size": 3, "filters": [4]},
        "detections": {"most": 10},
    },
    "linear": {"family": "linear"},
    "mlp": {"family": "mlp", "units": [12, 7]},
    "mlp-dropout": {"family": "mlp", "units": [16], "dropout": 0.25},
    "mlp-bare": {"family": "mlp", "units": []},
    "pretrained": {
        "family": "pretrained",
        "backbone": {"application": "mobilenet", "weights": "none"},
        "dense": 6,
    },
    "resnet": {"family": "resnet", "depth": 8, "width": 4, "dropout": 0.1},
    "resnet-a": {"family": "resnet", "depth": 8, "width": 3, "shortcut": "A", "zero_gamma": False},
    "resnet-2": {"family": "resnet", "depth": 8, "width": 4, "version": 2, "normalization": "group"},
    "resnet-imagenet": {"family": "resnet", "depth": 18, "width": 4, "stem": "imagenet"},
    "ssd": {
        "family": "ssd",
        "backbone": {
            "family": "cnn",
            "filters": [4, 6, 8],
            "strides": 2,
            "pool_size": 1,
            "normalization": "batch",
        },
        "finest": 2,
        "coarsest": 4,
        "filters": 6,
        "scales": [2.0],
    },
    "ssd-plain": {
        "family": "ssd",
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
        "finest": 1,
        "coarsest": 3,
        "pyramid": False,
        "filters": 6,
        "head_convolutions": 0,
        "anchors": "auto",
        "shapes": [[[5.0, 6.0]], [[8.0, 7.5]], [[11.0, 9.0]]],
        "positive": 0.3,
        "negative": 0.3,
        "class_loss": "focal",
        "box_loss": "diou",
    },
    "ssd-quality": {
        "family": "ssd",
        "backbone": {"family": "cnn", "filters": [4, 6], "strides": 2, "pool_size": 1},
        "finest": 2,
        "coarsest": 2,
        "filters": 5,
        "class_loss": "quality",
        "box_loss": "giou",
        "box_weight": 2.0,
        "detections": {"soft": True, "vote": 0.7, "most": 20},
    },
    "spatial_transformer": {
        "family": "spatial_transformer",
        "classifier": {"family": "cnn", "filters": [4, 6], "dense": 8},
        "localization_filters": [3],
        "localization_dense": 4,
    },
    "spatial_transformer-inside": {
        "family": "spatial_transformer",
        "classifier": {"family": "cnn", "filters": [4, 6], "normalization": "batch", "dropout": 0.1},
        "transform": "thin_plate_spline",
        "control_points": 3,
        "before": "conv_2_1",
        "localization_filters": [],
        "localization_rate": 0.5,
    },
    "spatial_transformer-resnet": {
        "family": "spatial_transformer",
        "classifier": {"family": "resnet", "depth": 8, "width": 4},
        "transform": "projective",
        "size": [12, 11],
        "localization_filters": [3, 4],
    },
    "unet": {"family": "unet", "filters": [4, 6, 8], "convolutions": 1},
    "unet-strided": {
        "family": "unet",
        "filters": [5, 6],
        "stem_strides": 4,
        "separable": True,
        "dropout": 0.1,
        "upsampling": "bilinear",
    },
    "unet-backbone": {
        "family": "unet",
        "filters": [4, 6],
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
    },
}
SHAPES = {  # of the cases that IMAGE does not suit
    "cnn-sequence": (21, 3),
    "cnn-volume": (5, 6, 7, 2),
    "pretrained": (33, 35, 3),
    "resnet-imagenet": (35, 33, 3),
}
# weights that start near 0, so that untrained answers are all but equal, and rounding decides their order
UNEQUAL = ("objectness_conv", "class_logits")
NOT_IN_LITERT = {"cnn-volume": "AvgPool3D"}  # what it has no operation for
KINDS = {"faster_rcnn-masks": "instance_segmentation"}  # where it is not the family's first
SLOW = {"pretrained", "resnet-a", "resnet-imagenet", "autoencoder-places"}
SLOW |= {"faster_rcnn", "faster_rcnn-masks", "deeplab", "deeplab-backbone", "fcn-32s", "fcn-backbone"}
SLOW |= {"unet-strided", "unet-backbone", "ssd", "ssd-plain"}


def read_settings(values):
    return pydantic.TypeAdapter(FamilySettings).validate_python(values)


class Case:
    """A family's settings, for one kind of task that it does."""

    def __init__(self, name):
        self.name, self.values = name, CASES[name]
        self.settings = read_settings(self.values)
        self.shape = SHAPES.get(name, IMAGE)
        kind = {"kind": KINDS.get(name, self.settings.tasks[0])}
        self.task = make_task(pydantic.TypeAdapter(TaskSettings).validate_python(kind), CLASSES)

    def make(self):
        """A model whose batch statistics are not those it starts with."""
        keras.utils.set_random_seed(7)
        model = build_model(self.settings, self.shape, self.task.model_arguments())
        for weight in model.trainable_weights:
            if weight.path.startswith(UNEQUAL):
                weight.assign(weight * 100)
        model(self.images(8), training=True)
        return model

    def images(self, count=5):
        return np.random.default_rng(3).random((count, *self.shape), dtype=np.float32)

    def batch(self, count=8):
        """What the task gives to training."""
        images = self.images(count)
        kinds = np.arange(count, dtype=np.int32) % len(CLASSES)
        low, size = np.random.default_rng(5).uniform([[[0]], [[5]]], [[[4]], [[13]]], (2, count, 2))
        boxes = np.stack([np.hstack([low, low + size]), -np.ones((count, 4))], 1).astype(np.float32)
        return self.task.inputs_and_targets(
            {
                "images": tf.constant(images),
                "labels": np.eye(len(CLASSES), dtype=np.float32)[kinds],
                "bounding_boxes": {"boxes": boxes, "labels": np.stack([kinds, np.full_like(kinds, -1)], 1)},
                **self.masks(boxes[:, 0]),
            },
            [1, 2],
        )

    def masks(self, boxes):
        """Maps of what fills the box of each image's first object, for the tasks that need them."""
        if self.task.settings.kind == "segmentation":
            return {"segmentation_masks": tf.constant(self.class_maps(), tf.uint8)}
        if self.task.settings.kind != "instance_segmentation":
            return {}
        rows, columns = np.indices(self.shape[:2])
        left, top, right, bottom = (side[:, np.newaxis, np.newaxis] for side in boxes.T)
        inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
        return {"segmentation_masks": tf.constant(np.where(inside, FIRST, 0)[..., np.newaxis], tf.int32)}

    def class_maps(self):
        """In quarters: two classes, which change from image to image, one, and void."""
        rows, columns = np.indices(self.shape[:2])
        quarters = rows * 2 // self.shape[0] * 2 + columns * 2 // self.shape[1]
        count = np.arange(8)
        values = [count % len(CLASSES), (count + 1) % len(CLASSES), 0 * count, 0 * count + 255]
        return np.stack(values, 1)[:, quarters, np.newaxis]

    def comparable(self, outputs):
        """Without what hangs on which regions are proposed: where scores are close, rounding decides."""
        if not isinstance(outputs, dict) or "proposals" not in outputs:
            return outputs
        hanging = ("proposals", "class_logits", "box_offsets", "mask_logits")
        return {name: value for name, value in outputs.items() if name not in hanging}


def parameters_of(family):
    return [
        parameter
        for name, parameter in inspect.signature(family.__init__).parameters.items()
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
