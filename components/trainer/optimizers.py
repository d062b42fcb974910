"""Keras's optimisers, with a rate, a decay and a freeze of their own for each variable."""

import re
import typing

import keras
import tensorflow as tf
from keras import ops

from conveyor.components.trainer.schedules import make_schedule
from conveyor.components.trainer.settings import FitSettings
from conveyor.models.model import Model
from conveyor.pipeline.errors import UserError

# Variables of more than one dimension that are no weights of a sum, by name: a bias per head, a slope per
# pixel, a place. All variables of one dimension are offsets and scales.
_NO_DECAY = re.compile("bias|gamma|beta|scale|alpha|embedding|token|position")


class PerVariable(keras.optimizers.Optimizer):
    """What our optimisers add to those of Keras; the lists are in the order of the trainable variables.

    Args:
        rates: What the learning rate of a variable is multiplied by.
        decays: Decoupled weight decay of a variable, times its rate.
        frozen_steps: Batches in which a variable does not move at all.
        arguments: Of the optimiser.

    Source: decoupled decay: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def __init__(self, *, rates: list[float], decays: list[float], frozen_steps: list[int], **arguments):
        super().__init__(**arguments)
        self.rates = rates
        self.decays = decays
        self.frozen_steps = frozen_steps

    def build(self, variables):
        if len(variables) != len(self.rates):
            raise ValueError(f"expected {len(self.rates)} variables. Received: {len(variables)}")
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype) * self.rates[index]
        if self.frozen_steps[index]:
            # A rate of 0 and not a gradient of 0: the moments of adaptive methods are then those of the
            # gradients when the variable is freed, and its first steps are as long as all others.
            rate *= ops.cast(self._iterations >= self.frozen_steps[index], variable.dtype)
        if self.decays[index]:
            self.assign_sub(variable, ops.multiply(variable, rate * self.decays[index]))
        super().update_step(gradient, variable, rate)

    def _clip_gradients(self, grads):
        """Clips the sum over replicas. Keras clips before it sums, which limits another norm."""
        context = tf.distribute.get_replica_context()
        if not self.global_clipnorm or context.num_replicas_in_sync == 1:
            return super()._clip_gradients(grads)
        summed = super()._clip_gradients(context.all_reduce(tf.distribute.ReduceOp.SUM, grads))
        return [gradient / context.num_replicas_in_sync for gradient in summed]  # they are summed again

    def _update_model_variables_moving_average(self, trainable_variables):
        """Averages once an update. Keras does so once a batch."""
        average = super()._update_model_variables_moving_average
        if not (self.use_ema and self.gradient_accumulation_steps):
            return average(trainable_variables)
        updated = (self._iterations + 1) % self.gradient_accumulation_steps == 0
        return ops.cond(updated, lambda: average(trainable_variables), lambda: None)

    def get_config(self):
        return {
            **super().get_config(),
            "rates": list(self.rates),
            "decays": list(self.decays),
            "frozen_steps": list(self.frozen_steps),
        }


@keras.saving.register_keras_serializable("conveyor")
class SGD(PerVariable, keras.optimizers.SGD):
    """Gradient descent with momentum."""


@keras.saving.register_keras_serializable("conveyor")
class Adam(PerVariable, keras.optimizers.Adam):
    """Adam; AdamW with decay."""


@keras.saving.register_keras_serializable("conveyor")
class RMSprop(PerVariable, keras.optimizers.RMSprop):
    """RMSprop."""


@keras.saving.register_keras_serializable("conveyor")
class Lion(PerVariable, keras.optimizers.Lion):
    """Lion."""


@keras.saving.register_keras_serializable("conveyor")
class Lamb(PerVariable, keras.optimizers.Lamb):
    """LAMB."""


@keras.saving.register_keras_serializable("conveyor")
class Muon(PerVariable, keras.optimizers.Muon):
    """Muon, for kernels of convolutions too: each is a matrix with a column for each filter.

    Args:
        matrices: Whether a variable is updated as a matrix; AdamW updates the others.
        arguments: As of all.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the length of
    updates is that of AdamW, as in Liu et al., "Muon is scalable for LLM training", 2025, equation 4.
    """

    def __init__(self, *, matrices: list[bool], **arguments):
        super().__init__(**arguments)
        self.matrices = matrices

    def _should_use_adamw(self, variable):
        return not self.matrices[self._get_variable_index(variable)]

    def zeropower_via_newtonschulz5(self, x, steps):
        """Returns about U V^T of the matrix U S V^T, as Keras does, with its large products taken but twice.

        A step multiplies the matrix M by a polynomial p of its Gram matrix, which becomes p G p: all that is
        between the first Gram matrix and the last product is of the shorter side.
        """
        matrix = tf.cast(_matrix(x), tf.float32)
        tall = matrix.shape[0] > matrix.shape[1]
        matrix /= tf.norm(matrix) + 1e-7
        gram = tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)
        product = identity = tf.eye(gram.shape[0])
        for step in range(steps):
            factor = self.muon_a * identity + self.muon_b * gram + self.muon_c * tf.matmul(gram, gram)
            product = tf.matmul(product, factor) if step else factor
            gram = tf.matmul(tf.matmul(factor, gram), factor)
        matrix = tf.matmul(matrix, product) if tall else tf.matmul(product, matrix)
        return tf.reshape(tf.cast(matrix, x.dtype), x.shape)

    def lr_adjust(self, x):
        return ops.reshape(super().lr_adjust(_matrix(x)), x.shape)

    def get_config(self):
        return {**super().get_config(), "matrices": list(self.matrices)}


def _matrix(kernel):
    return ops.reshape(kernel, (-1, kernel.shape[-1]))


_OPTIMIZERS = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": Adam,
    "rmsprop": RMSprop,
    "lion": Lion,
    "lamb": Lamb,
    "muon": Muon,
}


def make_optimizer(how: FitSettings, steps_per_epoch: int, model: Model) -> keras.optimizers.Optimizer:
    """Returns the optimiser of a model; call it in the scope of the strategy.

    Args:
        how: Settings.
        steps_per_epoch: Batches an epoch.
        model: What it is for: rates, decay and freezing are of its trainable variables.

    Raises:
        UserError: `accumulate` is more than all batches, or not possible on several devices.
    """
    _check(how, steps_per_epoch)
    chosen = how.optimizer
    variables = model.trainable_variables
    frozen = model.frozen_epochs * steps_per_epoch
    return _OPTIMIZERS[chosen.name](
        learning_rate=make_schedule(how, steps_per_epoch),
        rates=[float(model.learning_rate_factor(variable)) for variable in variables],
        decays=[chosen.weight_decay * decays(variable) for variable in variables],
        frozen_steps=[frozen * model.is_pretrained(variable) for variable in variables],
        global_clipnorm=chosen.clip_norm,
        use_ema=chosen.ema is not None,
        ema_momentum=chosen.ema or 0.0,
        gradient_accumulation_steps=how.accumulate if how.accumulate > 1 else None,
        **_own_arguments(how, model),
    )


def decays(variable: keras.Variable) -> bool:
    """Whether weight decay is for a variable: kernels, whatever their name; not biases, norms, embeddings."""
    return len(variable.shape) > 1 and not _NO_DECAY.search(variable.name)


def _is_matrix(variable: keras.Variable) -> bool:
    """Whether it is a kernel that mixes channels. A depthwise one has a filter of its own for each."""
    return decays(variable) and "depthwise" not in variable.name


def _last_layers(model: Model) -> list[keras.Operation]:
    """Returns the layers with kernels after which, on the way to an output, there are no others."""
    found: list[keras.Operation] = []
    seen: set[int] = set()
    waiting = [output._keras_history for output in model.outputs]
    while waiting:
        layer, node, _ = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        if any(map(decays, getattr(layer, "trainable_variables", []))):
            inner = [output._keras_history for output in getattr(layer, "outputs", [])]  # of a nested model
            waiting += inner
            found += [] if inner else [layer]
        else:
            waiting += [tensor._keras_history for tensor in layer._inbound_nodes[node].input_tensors]
    return found


def _own_arguments(how: FitSettings, model: Model) -> dict[str, typing.Any]:
    """Returns the arguments that only the chosen optimiser has."""
    match how.optimizer.name:
        case "sgd":
            return {"momentum": how.optimizer.momentum, "nesterov": how.optimizer.nesterov}
        case "muon":  # not for last layers, says its author; and our decay is for both of its halves
            last = {id(variable) for layer in _last_layers(model) for variable in layer.trainable_variables}
            matrices = [_is_matrix(v) and id(v) not in last for v in model.trainable_variables]
            return {"weight_decay": None, "adam_weight_decay": None, "matrices": matrices}
        case _:
            return {}


def _check(how: FitSettings, steps_per_epoch: int) -> None:
    where = "trainer.accumulate in the config"
    if how.accumulate > how.epochs * steps_per_epoch:
        raise UserError(
            "the weights would never be updated: more batches are accumulated than there are",
            expected=f"at most {how.epochs * steps_per_epoch}, all batches of {how.epochs} epochs",
            received=str(how.accumulate),
            where=where,
            fix="lower it, or train longer",
        )
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if how.accumulate > 1 and replicas > 1:
        raise UserError(
            f"gradients cannot be accumulated on {replicas} devices at once",
            expected="accumulate: 1",
            received=str(how.accumulate),
            where=where,
            fix="choose a larger batch_size, which the devices share, or one device by trainer.strategy",
        )
