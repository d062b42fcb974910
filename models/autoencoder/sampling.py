"""The random code of a variational autoencoder."""

import math

import keras


@keras.saving.register_keras_serializable("conveyor")
class Sampling(keras.layers.Layer):
    """Draws a code from the normal distribution an encoder tells, and adds the KL divergence to the loss.

    Args:
        weight: Of the KL divergence from the standard normal, summed over the code, mean over the batch.
        seed: Of the draws.

    Call arguments:
        inputs: Mean and logarithm of the variance, each [n, ...].
        training: Whether to draw; else the answer is the mean.

    Source: Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014, section 2.4 and appendix B.
    """

    def __init__(self, weight=1.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=None):
        mean, log_variance = inputs
        if not training:
            return mean
        # in float32: exp of a bfloat16 is too coarse to sum
        wide_mean, wide = keras.ops.cast(mean, "float32"), keras.ops.cast(log_variance, "float32")
        terms = 0.5 * (keras.ops.square(wide_mean) + keras.ops.exp(wide) - 1.0 - wide)
        size = math.prod(mean.shape[1:])
        self.add_loss(self.weight * size * keras.ops.mean(terms))
        noise = keras.random.normal(keras.ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + keras.ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "weight": self.weight, "seed": self.seed}
