import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

from conveyor.components.trainer.optimizers import Muon, decays, make_optimizer
from conveyor.components.trainer.settings import FitSettings
from conveyor.models.build import FAMILIES, build_model
from conveyor.models.families import FamilySettings
from conveyor.models.model import Model
from conveyor.models.tasks.settings import TaskSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError

NAMES = ["sgd", "adam", "adamw", "rmsprop", "lion", "lamb", "muon"]
LEVELS = {"family": "cnn", "filters": [4, 4, 4, 4, 4], "strides": 2, "pool_size": 1}
NEEDED = {  # settings of families that have no default
    "faster_rcnn": {"backbone": LEVELS},
    "pretrained": {"backbone": {"application": "mobilenet", "weights": "none"}},
    "spatial_transformer": {"classifier": {"family": "cnn"}},
    "ssd": {"backbone": LEVELS},
}
KERAS = {"sgd": "SGD", "adam": "AdamW", "adamw": "AdamW", "rmsprop": "RMSprop"}


class Toy(Model):
    """A model with a kernel of every kind; its convolution is the pretrained part."""

    def __init__(self, factor=1.0, frozen_epochs=0):
        layers = keras.layers
        image = keras.Input((4, 4, 1), name="image")
        features = layers.Conv2D(2, 3, name="conv")(image)
        features = layers.Flatten()(layers.BatchNormalization(name="norm")(features))
        hidden = layers.Dense(5, activation="tanh", name="hidden")(features)
        super().__init__(image, layers.Dense(3, name="logits")(hidden))
        self.factor = factor
        self.frozen_epochs = frozen_epochs

    def is_pretrained(self, variable):
        return "conv" in variable.path

    def learning_rate_factor(self, variable):
        return self.factor if self.is_pretrained(variable) else 1.0


def make(model, steps=10, how=None, **optimizer):
    return make_optimizer(FitSettings(optimizer=optimizer, **(how or {})), steps, model)


def make_toy(**arguments):
    """With weights that are all different from 0."""
    model = Toy(**arguments)
    random = np.random.default_rng(0)
    for weights in model.trainable_weights:
        weights.assign(random.uniform(0.5, 1.5, weights.shape))
    return model


def step(optimizer, model, size):
    """One update."""
    random = np.random.default_rng(1)
    shapes = [variable.shape for variable in model.trainable_variables]
    gradients = [tf.constant(size * random.uniform(0.5, 1, shape), tf.float32) for shape in shapes]
    optimizer.apply(gradients, model.trainable_variables)


def values(model):
    return {variable.path: variable.numpy() for variable in model.trainable_variables}


# === decay ===


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("decay", [0.0, 0.25])
def test_decay_shrinks_kernels_and_nothing_else(name, decay):
    model = make_toy()
    before = values(model)
    step(make(model, name=name, learning_rate=0.1, weight_decay=decay), model, 0.0)
    after = values(model)
    assert {path.rpartition("/")[2] for path in before} == {"kernel", "bias", "gamma", "beta"}
    for path, old in before.items():
        factor = 1 - 0.1 * decay if path.endswith("kernel") else 1.0
        np.testing.assert_allclose(after[path], factor * old, rtol=1e-6, err_msg=path)


def test_decay_follows_the_schedule():
    model = make_toy()
    before = values(model)["hidden/kernel"]
    how = {"schedule": "linear", "epochs": 1}
    optimizer = make(model, 2, how, name="adam", learning_rate=0.2, weight_decay=0.5)
    step(optimizer, model, 0.0)  # rate 0.2
    np.testing.assert_allclose(values(model)["hidden/kernel"], 0.9 * before, rtol=1e-6)
    step(optimizer, model, 0.0)  # rate 0.1
    np.testing.assert_allclose(values(model)["hidden/kernel"], 0.9 * 0.95 * before, rtol=1e-6)


class Custom(keras.layers.Layer):
    """A layer whose weights have names of their own."""

    def build(self, shape):
        self.projection = self.add_weight(shape=(3, 2), name="projection")
        self.unnamed = self.add_weight(shape=(3, 2))
        self.offset = self.add_weight(shape=(2,), name="offset")
        self.temperature = self.add_weight(shape=(), name="temperature")


def weights_of(layer, *shapes):
    layer.build(*shapes)
    return {variable.name: decays(variable) for variable in layer.trainable_variables}


def test_decay_of_layers_with_unusual_weights():
    layers = keras.layers
    assert list(weights_of(Custom(), (1, 3)).values()) == [True, True, False, False]
    assert weights_of(layers.DepthwiseConv2D(3), (1, 8, 8, 2)) == {"kernel": True, "bias": False}
    assert not any(weights_of(layers.LayerNormalization(axis=(1, 2, 3)), (1, 4, 4, 2)).values())
    assert not any(weights_of(layers.PReLU(), (1, 4, 4, 2)).values())
    assert not any(weights_of(layers.Embedding(7, 4), (1, 5)).values())
    attention = layers.MultiHeadAttention(2, 3)
    attention.build((1, 5, 4), (1, 5, 4))
    found = {(v.name, len(v.shape)): decays(v) for v in attention.trainable_variables}
    assert found == {("kernel", 3): True, ("bias", 2): False, ("bias", 1): False}


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_decay_is_of_the_kernels_of_every_family(name):
    values = {"family": name, **NEEDED.get(name, {})}
    settings = pydantic.TypeAdapter(FamilySettings).validate_python(values)
    task = pydantic.TypeAdapter(TaskSettings).validate_python({"kind": settings.tasks[0]})
    model = build_model(settings, (32, 32, 3), make_task(task, list("abc")).model_arguments())
    decay = {variable.path: decays(variable) for variable in model.trainable_variables}
    assert any(decay.values())
    for path, decayed in decay.items():
        assert decayed == ("kernel" in path.rpartition("/")[2]), path


# === the optimisers are those of Keras ===


@pytest.mark.parametrize("name", NAMES)
def test_optimizer_is_that_of_keras(name):
    ours, theirs = make_toy(), make_toy()
    own = {"sgd": {"momentum": 0.9}, "muon": {"adam_weight_decay": 0.1, "exclude_layers": ["conv", "logits"]}}
    kind = getattr(keras.optimizers, KERAS.get(name, name.capitalize()))
    oracle = kind(0.01, weight_decay=0.1, global_clipnorm=1.0, **own.get(name, {}))
    oracle.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer = make(ours, name=name, learning_rate=0.01, weight_decay=0.1, clip_norm=1.0)
    start = values(ours)
    for gradient in (0.5, -2.0, 0.125):
        step(optimizer, ours, gradient)
        step(oracle, theirs, gradient)
    for path, expected in values(theirs).items():
        assert not np.array_equal(expected, start[path])
        if name == "muon" and path == "conv/kernel":
            continue  # Keras leaves it to AdamW
        np.testing.assert_allclose(values(ours)[path], expected, rtol=1e-5, atol=1e-6, err_msg=path)


def turned(model):
    """Returns the paths of variables that Muon takes for matrices."""
    optimizer = make(model, name="muon")
    optimizer.build(model.trainable_variables)
    return {v.path for v in model.trainable_variables if not optimizer._should_use_adamw(v)}


def test_muon_turns_hidden_kernels_and_leaves_the_last_layer_to_adam():
    assert turned(make_toy()) == {"conv/kernel", "hidden/kernel"}


def test_muon_looks_for_last_layers_behind_what_has_no_kernels_and_in_nested_models():
    layers = keras.layers
    maps, image = keras.Input((8, 8, 4)), keras.Input((8, 8, 3))
    head = keras.Model(
        maps, layers.Conv2D(2, 1, name="last")(layers.Conv2D(4, 3, name="first")(maps)), name="head"
    )
    seen = layers.SeparableConv2D(4, 3, padding="same", name="parted")(image)
    skip = layers.Conv2D(2, 3, name="skip")(seen)
    outputs = layers.Softmax()(layers.Add()([head(seen), skip]))
    assert turned(Model(image, outputs)) == {"first/kernel", "parted/pointwise_kernel"}


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (5, 8, 3), (1, 1, 8, 4), (1, 1, 4, 8), (6, 6)])
def test_muon_sees_a_kernel_as_a_matrix_with_a_column_for_each_filter(shape):
    random = np.random.default_rng(1)
    start, gradients = random.normal(size=shape), random.normal(size=(3, *shape))
    kernel = keras.Variable(start.astype("float32"), name="kernel")
    matrix = keras.Variable(start.astype("float32").reshape(-1, shape[-1]), name="kernel")
    ours = Muon(rates=[1.0], decays=[0.0], frozen_steps=[0], matrices=[True], learning_rate=0.01)
    ours.weight_decay = None
    theirs = keras.optimizers.Muon(0.01, weight_decay=None)
    for gradient in gradients:
        ours.apply([tf.constant(gradient, tf.float32)], [kernel])
        theirs.apply([tf.constant(gradient.reshape(matrix.shape), tf.float32)], [matrix])
    np.testing.assert_allclose(kernel.numpy().reshape(matrix.shape), matrix.numpy(), rtol=1e-5, atol=1e-7)
    assert not np.allclose(kernel.numpy(), start, atol=1e-3)


@pytest.mark.parametrize("shape", [(3, 3, 16, 32), (16, 64), (64, 16)])
def test_muon_turns_what_is_small_in_a_gradient_as_keras_does(shape):
    random = np.random.default_rng(2)
    matrix = random.normal(size=(int(np.prod(shape[:-1])), shape[-1]))
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    sizes = np.geomspace(1.0, 1e-4, len(sizes))  # their squares, in a Gram matrix, are near float32's limit
    gradient = ((left * sizes) @ right).astype("float32").reshape(shape)
    ours = Muon(rates=[1.0], decays=[0.0], frozen_steps=[0], matrices=[True])
    found = ours.zeropower_via_newtonschulz5(tf.constant(gradient), 5).numpy().reshape(matrix.shape)
    flat = tf.constant(gradient.reshape(matrix.shape))
    theirs = keras.optimizers.Muon().zeropower_via_newtonschulz5(flat, 5)
    assert np.linalg.norm(found - theirs) < 0.01 * np.linalg.norm(theirs)
    assert np.linalg.norm(found, 2) < 1.3


def test_sgd_with_momentum_worked_by_hand():
    model = make_toy()
    start = values(model)["hidden/bias"]
    optimizer = make(model, name="sgd", learning_rate=0.1, momentum=0.5)
    ones = [tf.ones(v.shape) for v in model.trainable_variables]
    optimizer.apply(ones, model.trainable_variables)  # velocity -0.1
    optimizer.apply(ones, model.trainable_variables)  # velocity -0.1 * 0.5 - 0.1
    np.testing.assert_allclose(values(model)["hidden/bias"], start - 0.1 - 0.15, rtol=1e-5)


def test_nesterov_looks_ahead():
    model = make_toy()
    start = values(model)["hidden/bias"]
    optimizer = make(model, name="sgd", learning_rate=0.1, momentum=0.5, nesterov=True)
    optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    np.testing.assert_allclose(values(model)["hidden/bias"], start - 0.05 - 0.1, rtol=1e-5)


def test_clipping_is_of_the_norm_of_all_gradients():
    model = make_toy()
    start = values(model)
    count = sum(v.shape.num_elements() for v in map(tf.convert_to_tensor, model.trainable_variables))
    optimizer = make(model, name="sgd", learning_rate=1.0, momentum=0.0, clip_norm=3.0)
    optimizer.apply([tf.fill(v.shape, 2.0) for v in model.trainable_variables], model.trainable_variables)
    for path, value in values(model).items():
        np.testing.assert_allclose(start[path] - value, 3.0 / np.sqrt(count), rtol=1e-4)


# === rates of their own, and freezing ===


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "lion", "muon"])
def test_step_of_a_variable_is_scaled_by_its_factor(name):
    whole, part = make_toy(), make_toy(factor=0.25)
    start = values(whole)
    for model in (whole, part):
        step(make(model, name=name, learning_rate=0.01, weight_decay=0.1), model, 1.0)
    for path, old in start.items():
        factor = 0.25 if path.startswith("conv/") else 1.0
        wanted = factor * (values(whole)[path] - old)
        np.testing.assert_allclose(values(part)[path] - old, wanted, atol=3e-7, err_msg=path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_frozen_variables_do_not_move_before_their_epoch_and_then_do(name, accumulate):
    model = make_toy(frozen_epochs=2)
    how = {"accumulate": accumulate}
    optimizer = make(model, 2, how, name=name, learning_rate=0.01, weight_decay=0.1, clip_norm=1.0)
    start = values(model)
    for _ in range(4):  # two epochs
        step(optimizer, model, 1.0)
    frozen = values(model)
    for _ in range(accumulate):
        step(optimizer, model, 1.0)
    freed = values(model)
    for path, old in start.items():
        assert np.array_equal(old, frozen[path]) == path.startswith("conv/"), path
        assert not np.array_equal(frozen[path], freed[path])


def test_freezing_and_accumulating_work_in_the_graph_of_fit():
    model = make_toy(frozen_epochs=2)
    how = {"accumulate": 2, "schedule": "cosine", "warmup_epochs": 1}
    optimizer = make(model, 2, how, weight_decay=0.1, ema=0.9, clip_norm=1.0)
    model.compile(optimizer, "mse", steps_per_execution=2)
    start = values(model)
    history = []
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: history.append(values(model)))
    images = np.random.default_rng(2).normal(size=(8, 4, 4, 1))
    model.fit(images, np.ones((8, 3)), 4, epochs=3, verbose=0, callbacks=[record])
    del start["conv/bias"]  # the normalisation after it takes its gradient away
    for path, old in start.items():
        moved = [not np.array_equal(old, after[path]) for after in history]
        assert moved == [not path.startswith("conv/")] * 2 + [True], path


def test_first_step_of_a_freed_variable_is_no_longer_than_others():
    model = make_toy(frozen_epochs=10)
    optimizer = make(model, 2, name="adam", learning_rate=0.01)
    for _ in range(20):
        step(optimizer, model, 1.0)
    before = values(model)
    step(optimizer, model, 1.0)
    for path, old in before.items():
        np.testing.assert_allclose(old - values(model)[path], 0.01, rtol=1e-3, err_msg=path)


# === accumulation and averaging ===


def gradients(model, seed):
    random = np.random.default_rng(seed)
    return [tf.constant(random.normal(size=v.shape), tf.float32) for v in model.trainable_variables]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_three_steps_accumulated_are_one_step_of_three_batches(name):
    optimizer = {"name": name, "weight_decay": 0.1, "clip_norm": 0.5, "ema": 0.5, "learning_rate": 0.1}
    schedule = {"schedule": "cosine", "epochs": 1, "warmup_epochs": 0.5}
    small, large = make_toy(), make_toy()
    often = make(small, 12, {"accumulate": 3, **schedule}, **optimizer)
    once = make(large, 4, schedule, **optimizer)
    for update in range(4):
        parts = [gradients(small, 3 * update + part) for part in range(3)]
        for part in parts:
            often.apply(part, small.trainable_variables)
        once.apply([sum(group) / 3 for group in zip(*parts, strict=True)], large.trainable_variables)
    for path, value in values(large).items():
        np.testing.assert_allclose(values(small)[path], value, rtol=1e-5, atol=1e-6, err_msg=path)
    for model, made in ((small, often), (large, once)):
        made.finalize_variable_values(model.trainable_variables)
    for path, value in values(large).items():
        np.testing.assert_allclose(values(small)[path], value, rtol=1e-5, atol=1e-6, err_msg=path)


def test_average_of_weights_worked_by_hand():
    model = make_toy()
    start = values(model)["hidden/bias"]
    optimizer = make(model, name="sgd", learning_rate=0.1, momentum=0.0, ema=0.75)
    ones = [tf.ones(v.shape) for v in model.trainable_variables]
    for _ in range(3):
        optimizer.apply(ones, model.trainable_variables)
    np.testing.assert_allclose(values(model)["hidden/bias"], start - 0.3, rtol=1e-5)
    optimizer.finalize_variable_values(model.trainable_variables)
    average = 0.75 * (0.75 * 0.1 + 0.25 * 0.2) + 0.25 * 0.3
    np.testing.assert_allclose(values(model)["hidden/bias"], start - average, rtol=1e-5)


def test_accumulating_more_than_all_batches_is_a_user_error():
    with pytest.raises(UserError, match="never be updated") as caught:
        make(Toy(), 3, {"accumulate": 7, "epochs": 2})
    assert "6" in caught.value.expected
    make(Toy(), 3, {"accumulate": 6, "epochs": 2})


# === saving ===


@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on_after_saving_as_if_nothing_had_happened(name, tmp_path):
    def build(model):
        how = {"accumulate": 2, "schedule": "steps", "warmup_epochs": 1}
        return make(model, 1, how, name=name, ema=0.9, clip_norm=1.0, weight_decay=0.1)

    toy = make_toy(factor=0.5, frozen_epochs=3)
    toy.compile(build(toy))
    plain = keras.Model(toy.inputs, toy.outputs)  # Toy itself is not registered
    plain.compile(toy.optimizer)
    for _ in range(5):
        step(plain.optimizer, plain, 1.0)
    plain.save(tmp_path / "toy.keras")
    loaded = keras.saving.load_model(tmp_path / "toy.keras")
    assert loaded.optimizer.get_config() == plain.optimizer.get_config()
    for model in (plain, loaded):
        for _ in range(3):
            step(model.optimizer, model, -1.0)
    for one, other in zip(plain.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_optimizer_is_of_the_variables_it_was_made_for():
    model = make_toy()
    optimizer = make(model)
    with pytest.raises(ValueError, match=r"expected 8 variables\. Received: 7"):
        optimizer.build(model.trainable_variables[:-1])
