"""A small run from a folder of images to a judged model, made by the stages themselves."""

import dataclasses
import functools
import itertools
import pathlib
import tempfile

import keras
import numpy as np
import PIL.Image

from conveyor.components.artifacts import (
    Anomalies,
    Blessing,
    Evaluation,
    Examples,
    Model,
    Statistics,
    TransformGraph,
)
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.evaluator.stage import evaluator
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.stage import statistics_gen
from conveyor.components.trainer.export import export
from conveyor.components.trainer.fit import Fitted
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.components.trainer.stage import trainer
from conveyor.components.transform.settings import TransformSettings
from conveyor.components.transform.stage import transform
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.stage import Context

CLASSES = ["chat", "été", "猫"]
COUNTS = {"train": 16, "validation": 6, "test": 10}  # images of each class
HEIGHT, WIDTH = 12, 10  # not square, so that they cannot be mixed up


@dataclasses.dataclass(frozen=True)
class SmallRun:
    """What a run has made; `source` is its folder of images."""

    folder: pathlib.Path
    source: pathlib.Path
    examples: Examples
    graph: TransformGraph
    model: Model
    evaluation: Evaluation
    blessing: Blessing


@functools.cache
def make_small_run(folder: pathlib.Path) -> SmallRun:
    """Makes the run in a folder; a second call gives the same run."""
    source = draw_images(folder / "source", COUNTS)
    examples = make_examples(folder, source)
    graph = make_graph(folder, examples)
    model = train(folder, examples, graph, training())
    evaluation, blessing = evaluate(folder, examples, model)
    return SmallRun(folder, source, examples, graph, model, evaluation, blessing)


def draw_images(folder: pathlib.Path, counts: dict[str, int], seed: int = 0) -> pathlib.Path:
    """Draws noise that is brighter in the third of the rows that stands for the class."""
    random = np.random.default_rng(seed)
    for (split, count), (label, name) in itertools.product(counts.items(), enumerate(CLASSES)):
        (folder / split / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 180, (HEIGHT, WIDTH)).astype(np.uint8)
            pixels[4 * label : 4 * label + 4] += 25
            suffix = "jpg" if number % 3 == 2 else "png"
            PIL.Image.fromarray(pixels).save(folder / split / name / f"größe {number:02d}.{suffix}")
    return folder


def new(folder: pathlib.Path, kind):
    """Returns an artifact to be filled, in a folder of its own."""
    path = next(p for n in itertools.count() if not (p := folder / f"{kind.__name__}-{n}").exists())
    path.mkdir(parents=True)
    return kind(path)


def sealed(artifact):
    seal(artifact, {})
    return artifact


def make_examples(folder: pathlib.Path, source: pathlib.Path, kind="folder", **settings) -> Examples:
    examples = new(folder, Examples)
    ingest(examples, ExampleGenSettings(source=f"{kind}:{source}", **settings))
    return sealed(examples)


def make_graph(
    folder: pathlib.Path, examples: Examples, settings: TransformSettings | None = None
) -> TransformGraph:
    statistics, graph = new(folder, Statistics), new(folder, TransformGraph)
    scratch = new(folder, Anomalies).path
    context = Context(scratch=scratch)
    statistics_gen(
        examples=examples, statistics=statistics, settings=StatisticsGenSettings(), context=context
    )
    transform(
        examples=examples,
        statistics=statistics,
        anomalies=None,
        transform_graph=graph,
        settings=settings or TransformSettings(normalize="standardize"),
        context=context,
    )
    return sealed(graph)


def training(model=None, seed=0, **fit) -> TrainerSettings:
    """Settings of a short training of the linear model; `fit` may hold settings of the optimiser."""
    names = ("name", "learning_rate", "weight_decay", "momentum", "ema", "clip_norm")
    optimizer = {"learning_rate": 0.01, **{name: fit.pop(name) for name in names if name in fit}}
    # float32, so that the numbers are the same on every machine
    fit = {"epochs": 3, "batch_size": 10, "optimizer": optimizer, "precision": "float32", **fit}
    return TrainerSettings(task={}, model=model or {"family": "linear"}, fit=fit, seed=seed)


def train(folder, examples, graph, settings, context=None) -> Model:
    model = new(folder, Model)
    trainer(
        examples=examples,
        transform_graph=graph,
        model=model,
        settings=settings,
        context=context or Context(scratch=scratch(folder)),
    )
    return sealed(model)


def scratch(folder):
    """Returns a new directory for checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(prefix="scratch-", dir=folder))


def evaluate(folder, examples, model, context=None, seed=0, **judge) -> tuple[Evaluation, Blessing]:
    evaluation, blessing = new(folder, Evaluation), new(folder, Blessing)
    evaluator(
        examples=examples,
        model=model,
        evaluation=evaluation,
        blessing=blessing,
        settings=EvaluatorSettings(task={}, judge={"bootstrap": 50, **judge}, seed=seed),
        context=context or Context(),
    )
    return sealed(evaluation), sealed(blessing)


def export_changed(folder, run: SmallRun, change=None, classes=None) -> Model:
    """Exports the run's model again, with other weights or other names of classes.

    `change` is a function from the list of weights to the new list.
    """
    network = keras.saving.load_model(run.model.keras_file)
    if change:
        network.set_weights(change(network.get_weights()))
    task = make_task(ClassificationSettings(), classes or CLASSES)
    model = new(folder, Model)
    export(Fitted(network, task, {"loss": [0.0]}, 1, "linear"), run.graph, model)
    return sealed(model)
