"""Memory of an evaluation part by part, at 10 times the data; and that its numbers are those of one pass.

    python benchmarks/bench_evaluation.py [EXAMPLES]

20,000 and 200,000 examples of 10 classes unless told, each judged in a process of its own with 50 resamples,
by a model that looks ten numbers up, so that what is measured is the evaluation. Memory must be at most 1.2
times as much, and no metric or end of an interval may differ by more than 1e-12.
"""

import itertools
import json
import pathlib
import resource
import sys
import tempfile

import numpy as np
from measure import measure

CLASSES = [str(number) for number in range(10)]
RESAMPLES = 50


def make_examples(folder: pathlib.Path, count: int) -> None:
    """Writes Examples whose `image` is ten bytes, the scores of the classes."""
    import pyarrow as pa
    import pyarrow.parquet

    from conveyor.components.artifacts import Examples
    from conveyor.components.example_gen.convert import Classes
    from conveyor.components.example_gen.metadata import write_metadata
    from conveyor.components.example_gen.records import serialize, write_record
    from conveyor.components.example_gen.shards import DATASET, ShardSummary

    random, summary = np.random.default_rng(0), ShardSummary()
    labels = random.integers(0, len(CLASSES), count)
    scores = random.normal(100, 30, (count, len(CLASSES))) + 60 * np.eye(len(CLASSES))[labels]
    examples = Examples(folder)
    examples.dataset_dir.mkdir(parents=True)
    examples.facts_dir.mkdir()
    with (examples.dataset_dir / f"{DATASET}-test.tfrecord-00000-of-00001").open("wb") as file:
        for number, row in enumerate(scores.clip(0, 255).astype(np.uint8)):
            features = {"image": row.tobytes(), "id": str(number).encode(), "label": int(labels[number])}
            record = serialize(features)
            write_record(file, record)
            summary.count("test", len(record))
    facts = {"key": list(map(str, range(count))), "group": [""] * count, "label": labels}
    pyarrow.parquet.write_table(pa.table(facts), examples.facts_dir / "test-00000.parquet")
    write_metadata(examples.dataset_dir, {"label"}, Classes(CLASSES, []), 1, [summary], ["test"])


def make_model(folder: pathlib.Path) -> None:
    """Writes a SavedModel that makes probabilities of the ten bytes."""
    import tensorflow as tf

    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "images")])
        def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            scores = tf.reshape(tf.io.decode_raw(images, tf.uint8), [-1, len(CLASSES)])
            probabilities = tf.nn.softmax(tf.cast(scores, tf.float32) / 30)
            best = tf.argmax(probabilities, axis=-1)
            names = tf.gather(tf.constant(CLASSES), best)
            return {"probabilities": probabilities, "class_id": best, "class_name": names}

    model = Served()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})


def judge(folder: pathlib.Path, count: int, beam: str) -> None:
    """Judges, and prints the metrics and the most memory that was resident, mapped files and all."""
    from conveyor.components.artifacts import Evaluation, Examples
    from conveyor.components.evaluator.judge import judge
    from conveyor.components.evaluator.settings import EvaluatorSettings

    how = {"bootstrap": RESAMPLES, "worst": 0, "hardest": 0, "gap": False, "batch_size": 1024, "beam": beam}
    examples = Examples(folder / str(count), {"splits": {"test": count}, "classes": CLASSES})
    with tempfile.TemporaryDirectory(dir=folder) as made:
        settings = EvaluatorSettings(task={"kind": "classification"}, judge=how)
        document = judge(
            examples, folder / "model", settings, Evaluation(pathlib.Path(made)), pathlib.Path(made)
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"metrics": document["metrics"], "peak": peak}))


def largest_difference(one: dict, other: dict) -> float:
    """Returns that of any value or end of an interval."""
    pairs = [
        (found[end], other[name][end]) for name, found in one.items() for end in ("value", "low", "high")
    ]
    return max(abs(a - b) for a, b in pairs)


def main(count: int) -> None:
    """Measures, and prints what must hold."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_model(folder / "model")
        peaks, metrics = {}, {}
        for size, beam in itertools.product((count, 10 * count), ("on", "off")):
            if not (folder / str(size)).exists():
                make_examples(folder / str(size), size)
            run = measure([sys.executable, __file__, "--judge", name, str(size), beam])
            found = json.loads(run.output.splitlines()[-1])
            peaks[size, beam], metrics[size, beam] = found["peak"], found["metrics"]
            way = "part by part" if beam == "on" else "in one pass"
            print(f"{size:>9,} examples {way:12} {found['peak']:7.0f} MB {run.seconds:6.1f} s", flush=True)
    ratio = peaks[10 * count, "on"] / peaks[count, "on"]
    one_pass = peaks[10 * count, "off"] / peaks[count, "off"]
    apart = max(largest_difference(metrics[size, "on"], metrics[size, "off"]) for size in (count, 10 * count))
    print(f"memory at 10 times the data: {ratio:.2f} times (must be at most 1.2); in one pass {one_pass:.2f}")
    print(f"largest difference from one pass: {apart:.1e} (must be at most 1e-12)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        judge(pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main(int((*sys.argv[1:], "20000")[0]))
