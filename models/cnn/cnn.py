"""Convolutional networks of the classical kind."""

import keras


@keras.saving.register_keras_serializable("conveyor")
class CNN(keras.Model):
    """Blocks of convolutions with ReLU, max pooling after each block, a dense layer, the logits.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of logits.
        filters: Number of filters in each block.
        convolutions: Convolutions in each block.
        kernel_size: Side of the kernels, in pixels.
        padding: "same" or "valid".
        pool_size: Side and stride of the pooling window; 1 for none.
        batch_norm: Whether to normalise between convolution and ReLU.
        dense: Width of the dense layer before the logits; 0 for none.
        dropout: Share in [0, 1) of features dropped in training, before and after the dense layer.

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, classes].

    Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE
    86(11), 1998, section II, with ReLU and max pooling.
    """

    def __init__(
        self,
        image_shape,
        classes,
        filters=(32, 64),
        convolutions=1,
        kernel_size=3,
        padding="same",
        pool_size=2,
        batch_norm=False,
        dense=128,
        dropout=0.0,
        **kwargs,
    ):
        # === layers ===
        layers = keras.layers
        stack = []
        for block, count in enumerate(filters, 1):
            for number in range(1, convolutions + 1):
                name = f"conv_{block}_{number}"
                bias = not batch_norm  # normalisation has an offset of its own
                stack.append(layers.Conv2D(count, kernel_size, padding=padding, use_bias=bias, name=name))
                if batch_norm:
                    stack.append(layers.BatchNormalization(name=f"norm_{block}_{number}"))
                stack.append(layers.ReLU(name=f"relu_{block}_{number}"))
            if pool_size > 1:
                stack.append(layers.MaxPooling2D(pool_size, name=f"pool_{block}"))
        stack.append(layers.Flatten(name="flatten"))
        if dropout:
            stack.append(layers.Dropout(dropout, name="dropout_1"))
        if dense:
            stack.append(layers.Dense(dense, activation="relu", name="dense"))
            if dropout:
                stack.append(layers.Dropout(dropout, name="dropout_2"))
        stack.append(layers.Dense(classes, dtype="float32", name="logits"))
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        features = inputs
        for layer in stack:
            features = layer(features)
        super().__init__(inputs=inputs, outputs=features, **kwargs)
        # === config ===
        self.image_shape = tuple(image_shape)
        self.classes = classes
        self.filters = list(filters)
        self.convolutions = convolutions
        self.kernel_size = kernel_size
        self.padding = padding
        self.pool_size = pool_size
        self.batch_norm = batch_norm
        self.dense = dense
        self.dropout = dropout

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "classes": self.classes,
            "filters": self.filters,
            "convolutions": self.convolutions,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "pool_size": self.pool_size,
            "batch_norm": self.batch_norm,
            "dense": self.dense,
            "dropout": self.dropout,
            "name": self.name,
        }
