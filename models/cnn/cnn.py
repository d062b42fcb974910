"""Convolutional networks of the classical kind."""

import keras

from conveyor.models.cnn.stack import Stack, before_head, plan_blocks, plan_head, plan_list
from conveyor.models.model import Model


@keras.saving.register_keras_serializable("conveyor")
class CNN(Model):
    """Blocks of convolutions, each followed by pooling; a head, a dense layer, the logits.

    Args:
        image_shape: Shape of the model input: (length, channels), (height, width, channels) or
            (depth, height, width, channels); convolutions have as many dimensions.
        classes: Number of logits.
        filters: Number of filters in each block.
        convolutions: Convolutions in each block.
        kernel_size: Side of the kernels, in pixels.
        strides: Of the first convolution of each block, in pixels.
        padding: "same" or "valid".
        dilation: Pixels from one tap of a kernel to the next.
        separable: Whether a convolution is a filter for each channel, then 1x1.
        normalization: "none", "batch", "group" or "layer"; between convolution and activation.
        activation: A Keras activation, of convolutions and dense layers.
        pooling: "max" or "average".
        pool_size: Side and stride of the pooling window; 1 for none.
        head: "flatten" or "global_average", from the last maps to a vector.
        dense: Width of the dense layer before the logits; 0 for none.
        dropout: Share in [0, 1) of features dropped in training, before and after the dense layer.
        initializer: A Keras initializer, of kernels.
        l1: Penalty on absolute values of kernels.
        l2: Penalty on squares of kernels.
        layers: All layers before the logits in place of blocks, each {kind: options} as `LayerSettings`.

    Returns:
        A model from float32 [n, *image_shape] to logits [n, classes].

    Raises:
        ValueError: The layers do not fit the image or one another.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE
    86(11), 1998, section II, with ReLU and max pooling; Lin, Chen, Yan, "Network in network", ICLR
    2014, section 3.2, for the global average; Chollet, "Xception", CVPR 2017, for separable.
    """

    def __init__(
        self,
        image_shape,
        classes,
        filters=(32, 64),
        convolutions=1,
        kernel_size=3,
        strides=1,
        padding="same",
        dilation=1,
        separable=False,
        normalization="none",
        activation="relu",
        pooling="max",
        pool_size=2,
        head="flatten",
        dense=128,
        dropout=0.0,
        initializer="glorot_uniform",
        l1=0.0,
        l2=0.0,
        layers=None,
        **kwargs,
    ):
        # === layers ===
        conv = {
            "kernel_size": kernel_size,
            "strides": strides,
            "padding": padding,
            "dilation_rate": dilation,
            "separable": separable,
        }
        pool = {"size": pool_size, "strides": None, "kind": pooling, "padding": "valid"}
        blocks = plan_blocks(filters, convolutions, conv, normalization, activation, pool)
        plan = plan_list(layers) if layers else blocks + plan_head(head, dense, dropout)
        stack = Stack(len(image_shape) - 1, activation, initializer, l1, l2)
        logits = keras.layers.Dense(classes, **stack.kernels(), dtype="float32", name="logits")
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        super().__init__(inputs=inputs, outputs=logits(stack(plan, inputs)), **kwargs)
        self.features_layer = before_head(plan, inputs.name)
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "filters": list(filters),
            "convolutions": convolutions,
            "kernel_size": kernel_size,
            "strides": strides,
            "padding": padding,
            "dilation": dilation,
            "separable": separable,
            "normalization": normalization,
            "activation": activation,
            "pooling": pooling,
            "pool_size": pool_size,
            "head": head,
            "dense": dense,
            "dropout": dropout,
            "initializer": initializer,
            "l1": l1,
            "l2": l2,
            "layers": layers,
        }
