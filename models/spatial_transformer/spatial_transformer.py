"""Classifiers that learn how to look at an image."""

import keras

from conveyor.models.build import family_class
from conveyor.models.layers.bilinear_sampler import BilinearSampler
from conveyor.models.layers.grid_generator import GridGenerator
from conveyor.models.layers.localization_net import LocalizationNet
from conveyor.models.model import Model


@keras.saving.register_keras_serializable("conveyor")
class SpatialTransformer(Model):
    """A classifier with a spatial transformer in front of it, or within.

    A localisation net tells from an image how to transform it, a grid generator where each pixel of the
    transformed image looks, a sampler what is there. All is learned from the classifier's loss.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of logits.
        classifier: Which network sees what the transformer shows: `family`, and its other settings.
        transform: "affine", "projective" or "thin_plate_spline".
        control_points: Points on each side of the spline's grid.
        before: Name of the classifier's layer that gets what the transformer shows; "" for the first.
        size: (height, width) of what the transformer shows; None for those of what it sees.
        localization_filters: Of each convolution of the localisation net.
        localization_kernel_size: Side of its kernels, in pixels.
        localization_dense: Width of its dense layer.
        localization_rate: What its learning rate is multiplied by, in (0, 1].

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, classes].

    Raises:
        ValueError: The classifier has no layer `before`, or that sees no feature map.

    Source: Jaderberg et al., "Spatial Transformer Networks", NIPS 2015.
    """

    def __init__(
        self,
        image_shape,
        classes,
        classifier,
        transform="affine",
        control_points=4,
        before="",
        size=None,
        localization_filters=(16, 32),
        localization_kernel_size=5,
        localization_dense=32,
        localization_rate=1.0,
        **kwargs,
    ):
        # === layers ===
        localization = LocalizationNet(
            transform,
            control_points,
            localization_filters,
            localization_kernel_size,
            localization_dense,
            name="localization",
        )
        sampler = BilinearSampler(name="sampler")
        settings = {name: value for name, value in classifier.items() if name != "family"}
        plain = family_class(classifier["family"])(image_shape, classes, **settings)
        target = before or plain.layers[1].name
        plain.get_layer(target)  # a clear error if there is none

        # === functional ===
        def transformed(features):
            if len(features.shape) != 4:
                raise ValueError(f"expected before={before!r} to be a layer that sees a feature map")
            grid = GridGenerator(size or features.shape[1:3], transform, control_points, name="grid")
            return sampler(features, grid(localization(features)))

        def call(layer, features, *args, **kwargs):
            return layer(transformed(features) if layer.name == target else features, *args, **kwargs)

        inputs = keras.Input(image_shape, name="image")
        whole = keras.models.clone_model(plain, input_tensors=inputs, call_function=call)
        super().__init__(inputs=inputs, outputs=whole.outputs[0], **kwargs)
        self.features_layer = plain.features_layer
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "classifier": dict(classifier),
            "transform": transform,
            "control_points": control_points,
            "before": before,
            "size": size and list(size),
            "localization_filters": list(localization_filters),
            "localization_kernel_size": localization_kernel_size,
            "localization_dense": localization_dense,
            "localization_rate": localization_rate,
        }

    def learning_rate_factor(self, variable):
        of_localization = any(variable is own for own in self.get_layer("localization").variables)
        return self.arguments["localization_rate"] if of_localization else 1.0
