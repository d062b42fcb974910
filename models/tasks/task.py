"""What a task says about examples, targets, loss, outputs and evaluation; and how to get one."""

import abc
import importlib
import typing
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from conveyor.models.metrics.weighted import Weighted, evaluate, measure
from conveyor.models.ops.frames import Frame
from conveyor.models.settings import Settings
from conveyor.models.tasks.settings import TaskSettings

Facts = typing.Callable[[str], list[typing.Any]]  # a column of the data's facts -> a value an example
Batch = dict[str, typing.Any]  # in the keys of Keras's preprocessing layers
Outputs = dict[str, np.ndarray]
Records = dict[str, np.ndarray]
Metrics = dict[str, dict[str, float | None]]


class Task(abc.ABC):
    """What a model is for. Stages know tasks only through this."""

    classes: list[str]
    settings: Settings

    # === the model ===

    @abc.abstractmethod
    def model_arguments(self) -> dict[str, typing.Any]:
        """Returns what a family must know to build a model for this, besides the image's shape."""

    # === training ===

    def prepare(self, facts: Facts) -> list[str]:  # noqa: ARG002
        """Is told of the training split before anything below is asked, such as for weights of classes.

        Returns:
            Sentences on what is done to the data, for whoever runs this.
        """
        return []

    @abc.abstractmethod
    def annotations(self, example: dict[str, tf.Tensor], frame: Frame, shape: tf.Tensor) -> Batch:
        """Returns what one example has besides its image, as it moves with the pixels; in a graph.

        Keys: `labels` float32 [classes], `segmentation_masks` uint8 [height, width, 1] (255 is void),
        `bounding_boxes` {`boxes` float32 [m, 4] xyxy, `labels` int32 [m], -1 is padding}; all in pixels
        of the decoded image.

        Args:
            example: As `read_split` gives it.
            frame: How the image lies in the decoded one, see `conveyor.models.ops.frames`.
            shape: int32 [2], height and width of the decoded image.
        """

    @abc.abstractmethod
    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[typing.Any, typing.Any]:
        """Returns what the model is given and what it must answer, in a graph.

        Args:
            batch: Augmented; `images` float32 [n, height, width, channels], normalised.
            seed: int32 [2], another for each batch.
        """

    @abc.abstractmethod
    def loss(self) -> typing.Any:
        """Returns the training loss on raw outputs, as `keras.Model.compile` takes it."""

    @abc.abstractmethod
    def metrics(self) -> typing.Any:
        """Returns metrics to watch in training, as `keras.Model.compile` takes them."""

    def calibrate(self, answers: Iterable[tuple[np.ndarray, typing.Any]]) -> None:  # noqa: B027
        """Fits what `decode` needs, such as a threshold.

        Args:
            answers: Inputs and raw outputs of the trained model, batch by batch, on the validation split.
        """

    # === serving ===

    @abc.abstractmethod
    def decode(self, inputs: tf.Tensor, raw: typing.Any, frame: Frame) -> dict[str, tf.Tensor]:
        """Returns the served outputs of a batch, in a graph.

        Args:
            inputs: float32 [n, height, width, channels].
            raw: What `Model.serve` makes of them.
            frame: How the images lie in the inputs; places in outputs are in the images' own pixels.
        """

    def thresholds(self) -> dict[str, float]:
        """Returns output name -> value above which it counts as said; {} where nothing is cut."""
        return {}

    def take_thresholds(self, values: dict[str, float]) -> None:  # noqa: B027  (most have none that are fitted)
        """Takes what `thresholds` told of a trained task."""

    # === evaluation ===

    def request(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the encoded image that the model is asked about, in a graph."""
        return example["image"]

    @abc.abstractmethod
    def truth(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns what an example's outputs are judged against, in a graph.

        A tensor, or a dict of some; batches of different shapes are filled up (see `batch_filled`).
        """

    @abc.abstractmethod
    def check(self, outputs: Outputs) -> str:
        """Returns why outputs cannot be judged for these classes; "" for no reason."""

    @abc.abstractmethod
    def record(self, truth: typing.Any, outputs: Outputs) -> Records:
        """Returns what is kept of a batch: a row of each column an example. All below is told from it."""

    @abc.abstractmethod
    def weighted(self, records: Records) -> Weighted:
        """Returns a function from weights of the examples to all metrics.

        It is what intervals and comparisons of models are made of: weights int [b, n], how often each
        example counts -> metric name -> float [b], NaN where undefined. `Scores` says which of them are
        scores in [0, 1], and what each rests on; a plain function has percentile intervals.
        """

    def measure(self, records: Records) -> dict[str, float | None]:
        """Returns metric name -> value over all examples; None where undefined."""
        return measure(self.weighted(records), _count(records))

    def evaluate(
        self, records: Records, bootstrap: int, seed: int, groups: np.ndarray | None = None
    ) -> Metrics:
        """Returns metric name -> `value`, and `low` and `high` of its 95% interval.

        Args:
            records: Of n examples.
            bootstrap: Number of resamples; 0 for no intervals.
            seed: Of the resamples.
            groups: [n], what is drawn; None for the examples themselves.
        """
        return evaluate(self.weighted(records), _count(records), bootstrap, seed, groups)

    @abc.abstractmethod
    def badness(self, records: Records) -> np.ndarray:
        """Returns float [n], how wrong the outputs of each example are.

        Right ones have at most 0: minus how sure they were, if the task can tell, so that what is just
        below 0 was right by a hair.
        """

    @abc.abstractmethod
    def caption(self, record: dict[str, typing.Any]) -> str:
        """Returns a line on one example, for a gallery."""

    @abc.abstractmethod
    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        """Returns a PNG or JPEG that shows one example with its outputs, for a gallery.

        Args:
            image: As sent to the model.
            outputs: Its row of the outputs.
            record: Its row of the records; and `truth`, its row of what `truth` gave. {} where nobody
                knows the truth.
        """

    @abc.abstractmethod
    def plots(
        self, records: Records, bootstrap: int = 0, seed: int = 0, groups: np.ndarray | None = None
    ) -> list[dict[str, typing.Any]]:
        """Returns charts as data; their kinds are those that the model card draws. Arguments as above."""


# Kind -> "module:class". A task of its own: add a module, a line here and an arm in settings.py.
TASKS = {
    "classification": "conveyor.models.tasks.classification:Classification",
    "instance_segmentation": "conveyor.models.tasks.instance_segmentation:InstanceSegmentation",
    "multi_label": "conveyor.models.tasks.multi_label:MultiLabel",
    "detection": "conveyor.models.tasks.detection:Detection",
    "reconstruction": "conveyor.models.tasks.reconstruction:Reconstruction",
    "segmentation": "conveyor.models.tasks.segmentation:Segmentation",
}


def _count(records: Records) -> int:
    return len(next(iter(records.values())))


def other_names(told: np.ndarray, names: np.ndarray) -> str:
    """Returns why a model's names of classes are not the data's; "" where they are.

    Args:
        told: Names that the model has told, any shape.
        names: What the data calls the same classes, same shape.
    """
    pairs = set(zip(told[told != names].tolist(), names[told != names].tolist(), strict=True))
    differ = [f"{one!r} for {other!r}" for one, other in sorted(pairs)]
    return f"other names of classes than the data has: {', '.join(differ[:3])}" if differ else ""


def make_task(settings: TaskSettings, classes: list[str]) -> Task:
    """Returns the task that settings describe.

    Args:
        settings: Its settings.
        classes: Names of the classes, in label order.
    """
    module, _, name = TASKS[settings.kind].partition(":")
    return getattr(importlib.import_module(module), name)(settings, classes)
