import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.layers.grid_generator import TRANSFORMS, identity
from conveyor.models.layers.localization_net import LocalizationNet


def images(count=3, shape=(10, 6, 2)):
    return np.random.default_rng(2).normal(size=(count, *shape)).astype(np.float32)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_starts_with_the_identity_in_full_precision(transform, policy):
    net = LocalizationNet(transform, 3, filters=[4], dense=5, dtype=policy)
    parameters = net(images())
    assert parameters.dtype == tf.float32
    np.testing.assert_array_equal(parameters, [identity(transform, 3)] * 3)
    assert net.compute_output_shape((None, 10, 6, 2)) == (None, len(identity(transform, 3)))


def test_layers_are_as_asked():
    net = LocalizationNet(filters=[4, 7], kernel_size=3, dense=5)
    net(images())
    assert [weight.shape for weight in net.weights] == [
        *[(3, 3, 2, 4), (4,), (3, 3, 4, 7), (7,)],
        *[(2 * 1 * 7, 5), (5,), (5, 6), (6,)],
    ]


def test_does_not_pool_beyond_the_last_pixel():
    net = LocalizationNet(filters=[4, 4, 4], dense=5)
    net(images(shape=(9, 2, 1)))
    assert [layer.name for layer in net.stack][:5] == ["conv_1", "pool_1", "conv_2", "conv_3", "flatten"]


def test_config_round_trip_gives_the_same_weights():
    net = LocalizationNet("projective", filters=[3], kernel_size=3, dense=4, name="where")
    net(images())
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(net))
    again(images())
    assert again.get_config() == net.get_config()
    assert [weight.path for weight in again.weights] == [weight.path for weight in net.weights]
