"""The localisation net of a spatial transformer."""

import keras

from conveyor.models.layers.grid_generator import identity


@keras.saving.register_keras_serializable("conveyor")
class LocalizationNet(keras.layers.Layer):
    """Tells from an image, or a feature map, how to transform it.

    Convolutions with ReLU, each followed by max pooling while there are pixels left; a dense layer; the
    parameters. They are those of the identity at first, whatever the image.

    Args:
        transform: As in `GridGenerator`.
        control_points: As in `GridGenerator`.
        filters: Of each convolution.
        kernel_size: Side of the kernels, in pixels.
        dense: Width of the dense layer.

    Call arguments:
        images: float [n, height, width, channels].

    Returns:
        float32 [n, parameters].

    Source: Jaderberg et al., "Spatial Transformer Networks", NIPS 2015, section 3.1.
    """

    def __init__(
        self, transform="affine", control_points=4, filters=(16, 32), kernel_size=5, dense=32, **kwargs
    ):
        super().__init__(**kwargs)
        self.transform = transform
        self.control_points = control_points
        self.filters = list(filters)
        self.kernel_size = kernel_size
        self.dense = dense

    def build(self, images_shape):
        layers, policy = keras.layers, self.dtype_policy
        start = identity(self.transform, self.control_points)
        self.stack = []
        sides = min(images_shape[1:3])
        for number, count in enumerate(self.filters, 1):
            name = f"conv_{number}"
            conv = layers.Conv2D(
                count, self.kernel_size, padding="same", activation="relu", name=name, dtype=policy
            )
            self.stack.append(conv)
            if sides > 1:
                self.stack.append(layers.MaxPooling2D(2, name=f"pool_{number}", dtype=policy))
                sides //= 2
        self.stack.append(layers.Flatten(name="flatten", dtype=policy))
        self.stack.append(layers.Dense(self.dense, activation="relu", name="dense", dtype=policy))
        bias = keras.initializers.Constant(start)
        last = layers.Dense(
            len(start), kernel_initializer="zeros", bias_initializer=bias, name="parameters", dtype="float32"
        )
        self.stack.append(last)
        shape = images_shape
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, images):
        for layer in self.stack:
            images = layer(images)
        return images

    def compute_output_shape(self, images_shape):
        return (images_shape[0], len(identity(self.transform, self.control_points)))

    def get_config(self):
        own = {
            "transform": self.transform,
            "control_points": self.control_points,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dense": self.dense,
        }
        return {**super().get_config(), **own}
