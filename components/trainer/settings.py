"""Settings of trainer: the `trainer` section of a config, and all that the stage is given."""

import typing

import pydantic
import pydantic_core

from conveyor.models.families import FamilySettings
from conveyor.models.settings import AugmentationSettings
from conveyor.models.tasks.settings import TaskSettings
from conveyor.pipeline.config import Settings

_Share = typing.Annotated[float, pydantic.Field(gt=0, lt=1)]


class OptimizerSettings(Settings):
    """The optimiser."""

    name: typing.Literal["sgd", "adam", "adamw", "rmsprop", "lion", "lamb", "muon"] = "adamw"
    """`adam` and `adamw` are the same: weight decay is decoupled in all. `muon` is for kernels, also of
    convolutions, except the last layer's; it leaves all other weights to adamw."""
    learning_rate: pydantic.PositiveFloat = 0.001
    """The highest: schedule and warm-up are shares of it."""
    weight_decay: float = pydantic.Field(0.0, ge=0)
    """Decoupled weight decay, times the learning rate; biases, normalisation and embeddings are excluded."""
    momentum: float = pydantic.Field(0.9, ge=0, lt=1)
    """Of sgd."""
    nesterov: bool = False
    """Nesterov's momentum; of sgd."""
    clip_norm: pydantic.PositiveFloat | None = None
    """Scale the gradient of all weights together down to this norm where it is larger."""
    ema: _Share | None = None
    """Train on, but evaluate and keep, an exponential moving average of the weights, with this momentum
    a step, such as 0.999."""


class CheckpointSettings(Settings):
    """When the state of training is saved, so that a run that was killed goes on from there."""

    every_steps: pydantic.PositiveInt | None = None
    """Steps between two; without it, time alone decides. The end of an epoch is always saved."""
    every_minutes: pydantic.PositiveFloat = 5.0
    """Minutes between two."""


class FitSettings(Settings):
    """How the model is trained."""

    epochs: pydantic.PositiveInt = 10
    """Passes over the training split."""
    batch_size: pydantic.PositiveInt = 64
    """Examples a step, on all devices together."""
    accumulate: pydantic.PositiveInt = 1
    """Steps whose gradients are averaged for one update of the weights."""
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: typing.Literal["constant", "linear", "cosine", "exponential", "steps"] = "constant"
    """Of the learning rate, over all updates after the warm-up."""
    warmup_epochs: float = pydantic.Field(0.0, ge=0)
    """Epochs in which the learning rate rises in a line from almost 0."""
    final_rate: float | None = pydantic.Field(None, ge=0, le=1)
    """Share of the learning rate that is left at the end; 0 of linear and cosine, 0.01 of exponential and
    steps, unless told."""
    drops: list[_Share] = pydantic.Field([0.5, 0.75], min_length=1)
    """Of steps: where the rate drops, in shares of the updates; by the same factor each time."""
    select: typing.Literal["best", "last"] = "best"
    """Which weights are kept: of the epoch with the lowest validation loss, or the last. Without a
    validation split, the last."""
    validate_every: pydantic.PositiveInt = 1
    """Epochs between two passes over the validation split, where epochs are short; the last epoch always
    ends with one."""
    early_stopping: pydantic.PositiveInt | None = None
    """Stop after so many epochs without a lower validation loss."""
    class_weights: typing.Literal["none", "balanced"] = "none"
    """Weigh the loss of an example by the rarity of its class, so that all classes count the same."""
    sampling: typing.Literal["none", "balanced"] = "none"
    """Draw as many examples of each class, some of them more than once an epoch, others not in each."""
    foreground: float = pydantic.Field(0.0, ge=0, le=1)
    """Share of training windows (`transform.resize: none`) that are around something of a random class that
    the image has, as in nnU-Net: a pixel not of the first class, or the centre of a box. The others are
    from anywhere. Helps where most of an image is background."""
    precision: typing.Literal["auto", "float32", "bfloat16"] = "auto"
    """Of layers; weights are float32. `auto` is bfloat16 where the hardware is made for it: TPUs, GPUs since
    Ampere, CPUs with AMX, and AMD's with AVX512_BF16."""
    strategy: typing.Literal["auto", "cpu", "gpu", "mirrored", "multi_worker", "tpu"] = "auto"
    """Where training runs. `auto` takes the TPU, all GPUs, the one GPU, or the CPU, what there is first;
    multi_worker reads TF_CONFIG."""
    cache: typing.Literal["auto", "memory", "off"] = "auto"
    """Keep decoded examples in memory: where they fit, always, never."""
    checkpoint: CheckpointSettings = CheckpointSettings()
    tensorboard: bool = False
    """Write logs for TensorBoard."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> typing.Self:
        if self.warmup_epochs >= self.epochs:
            raise _wrong("fewer warmup_epochs than epochs")
        if self.schedule in ("exponential", "steps") and self.final_rate == 0:
            raise _wrong(f"a final_rate above 0, as {self.schedule} never gets to 0")
        if sorted(set(self.drops)) != self.drops:
            raise _wrong("drops in ascending order")
        if self.class_weights == self.sampling == "balanced":
            raise _wrong("balanced class_weights or balanced sampling: both would count rare classes twice")
        return self


def _wrong(expected: str) -> pydantic_core.PydanticCustomError:
    return pydantic_core.PydanticCustomError("fit", "{expected}", {"expected": expected})


class TrainerSettings(Settings):
    """All that training depends on."""

    task: TaskSettings
    model: FamilySettings
    augment: AugmentationSettings = []
    fit: FitSettings = FitSettings()
    seed: pydantic.NonNegativeInt = 0
