"""Planted wrong labels, boxes and masks: how many are found, against plainer ways of finding them.

    python benchmarks/bench_label_errors.py [SEEDS]

Wrong are 4% of the labels of MNIST (10,000) and of scikit-learn's digits (another class at random); 3% of
the boxes of BCCD of another class and 3% moved onto background; 6% of the nuclei masks (of another
image, moved by an eighth, or empty). Printed are means over the seeds: precision and recall of what is
found, and the average precision of the whole ranking; beside it that of peers on the same data: a
random order, and cleanlab with 10 nearest neighbours; for masks cleanlab's softmin on the same pixels.
Errors that were there before count as false alarms.
"""

import collections
import io
import pathlib
import sys
import tempfile
import time

import cleanlab.rank
import cleanlab.segmentation.rank
import defusedxml.ElementTree
import numpy as np
import PIL.Image
import sklearn.datasets
from measure import MNIST, unpack_mnist
from sklearn.metrics import average_precision_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.facts import read_facts
from conveyor.components.label_errors.appearance import SHAPE, SIDE
from conveyor.components.label_errors.boxes import cut_out
from conveyor.components.label_errors.folds import assign_folds, bundle
from conveyor.components.label_errors.judge import judge
from conveyor.components.label_errors.labels import features
from conveyor.components.label_errors.masks import judge_masks, read_small
from conveyor.components.label_errors.pixels import held_out_pixels
from conveyor.components.leaks.fingerprint import HEADER, stack

DATA = MNIST.parent
_LABELS, _BOXES, _MASKS = 0.04, 0.03, 0.06  # shares that are made wrong; of boxes twice


def main(seeds: int) -> None:
    """Prints the figures."""
    for name, run in (("mnist", labels), ("digits", labels), ("boxes", boxes), ("masks", masks)):
        found = collections.defaultdict(list)
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                for what, value in run(name, seed, pathlib.Path(folder)).items():
                    found[what].append(value)
        print(name, "  ".join(f"{what} {np.mean(values):.3f}" for what, values in found.items()), flush=True)


def _examples(source: str, folder: pathlib.Path) -> Examples:
    (folder / "artifact").mkdir()
    examples = Examples(folder / "artifact")
    ingest(examples, ExampleGenSettings.model_validate({"source": source}))
    return examples


def _facts(examples: Examples, *columns: str):
    facts = read_facts(examples, ["key", "group", "content_hash", *columns])
    facts = facts.sort_by([("content_hash", "ascending"), ("key", "ascending")])
    return facts, bundle(facts["content_hash"].to_pylist(), facts["group"].to_pylist())


def _report(wrong, suspect, quality, peers, seconds) -> dict[str, float]:
    return {
        "found": suspect.sum(),
        "precision": wrong[suspect].mean() if suspect.any() else 0.0,
        "recall": suspect[wrong].mean(),
        "AP": average_precision_score(wrong, -quality),
        "AP random": wrong.mean(),
        **{f"AP {name}": average_precision_score(wrong, -peer) for name, peer in peers.items()},
        "seconds": seconds,
    }


def _neighbours(inputs, given, bundles) -> np.ndarray:
    """Returns cleanlab's scores of the labels by 10 nearest neighbours."""
    model = KNeighborsClassifier(10)
    folds = PredefinedSplit(assign_folds(bundles, given))
    chances = cross_val_predict(model, inputs, given, cv=folds, method="predict_proba")
    return cleanlab.rank.get_label_quality_scores(given, chances)


def labels(name: str, seed: int, folder: pathlib.Path) -> dict[str, float]:
    """Returns figures for whole images."""
    if name == "mnist":
        if not unpack_mnist(folder / "source", 5000, 5000):
            return {}
    else:
        digits = sklearn.datasets.load_digits()
        for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            path = folder / "source" / str(label) / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray((image * 15.9).astype(np.uint8)).save(path)
    random = np.random.default_rng(seed)
    files = sorted((folder / "source").rglob("*.png"))
    for path in random.permutation(files)[: round(_LABELS * len(files))]:
        other = (int(path.parent.name) + random.integers(1, 10)) % 10
        path.rename(path.parents[1] / str(other) / f"wrong_{path.parent.name}_{path.name}")
    examples = _examples(f"folder:{folder / 'source'}", folder)
    began = time.monotonic()
    columns = ("label", "fingerprint", "pixel_sum", "pixel_square_sum", "width", "height")
    facts, bundles = _facts(examples, *columns)
    given = facts["label"].to_numpy().astype(np.int64)
    verdict = judge(features(facts), given, bundles)
    seconds = time.monotonic() - began
    wrong = np.array(["wrong_" in key for key in facts["key"].to_pylist()])
    pixels = stack(facts["fingerprint"].to_pylist())[:, HEADER:].reshape(-1, SIDE * SIDE) / np.float32(255)
    peers = {"knn": _neighbours(pixels, given, bundles)}
    return _report(wrong, verdict.suspect, verdict.quality, peers, seconds)


def boxes(_: str, seed: int, folder: pathlib.Path) -> dict[str, float]:
    """Returns figures for the boxes of BCCD."""
    source = folder / "source"
    if not (DATA / "BCCD").exists():
        return {}
    (source / "Annotations").mkdir(parents=True)
    (source / "JPEGImages").symlink_to(DATA / "BCCD" / "JPEGImages")
    random, names = np.random.default_rng(seed), ["RBC", "WBC", "Platelets"]
    planted = collections.defaultdict(list)
    for path in sorted((DATA / "BCCD" / "Annotations").glob("*.xml")):
        tree = defusedxml.ElementTree.parse(path)
        objects = list(tree.iter("object"))
        taken = [_box(item) for item in objects]
        for item in objects:
            kind = random.random()
            if kind < _BOXES:
                label = (names.index(item.find("name").text) + random.integers(1, 3)) % 3
                item.find("name").text = names[label]
                planted[path.stem].append(_box(item))
            elif kind < 2 * _BOXES and _move(item, taken, random):
                planted[path.stem].append(_box(item))
        tree.write(source / "Annotations" / path.name)
    examples = _examples(f"voc:{source}", folder)
    began = time.monotonic()
    facts, bundles = _facts(examples, "objects")
    background = len(examples.properties["classes"])
    cuts = cut_out(examples, facts, background)
    verdict = judge(cuts.features, cuts.labels, bundles[cuts.rows])
    seconds = time.monotonic() - began
    real = cuts.labels[verdict.rows] != background
    stems = [pathlib.PurePath(key).stem for key in facts["key"].to_pylist()]
    places = zip(cuts.rows[verdict.rows], cuts.boxes[verdict.rows], strict=True)
    wrong = np.array([_is_among(box, planted[stems[row]]) for row, box in places])
    peer = _neighbours(
        cuts.features[verdict.rows, :SHAPE], cuts.labels[verdict.rows], bundles[cuts.rows][verdict.rows]
    )
    scores = verdict.quality[real], {"knn": peer[real]}
    return _report(wrong[real], verdict.suspect[real], *scores, seconds)


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _box(item) -> list[int]:
    return [int(float(item.find("bndbox").find(side).text)) for side in _SIDES]


def _is_among(box: np.ndarray, others: list[list[int]]) -> bool:
    """Returns whether it is one of the others, but for what ingestion does: count from 0, and clip."""
    return any(np.abs(box - other).max() <= 1 for other in np.array(others))


def _move(item, taken: list[list[int]], random: np.random.Generator) -> bool:
    """Moves a box to where none is."""
    x1, y1, x2, y2 = _box(item)
    for _ in range(50):
        x, y = random.integers(1, 640 - (x2 - x1) + 1), random.integers(1, 480 - (y2 - y1) + 1)
        moved = [int(x), int(y), int(x + x2 - x1), int(y + y2 - y1)]
        overlap = [
            max(0, min(moved[2], box[2]) - max(moved[0], box[0]))
            * max(0, min(moved[3], box[3]) - max(moved[1], box[1]))
            for box in taken
        ]
        if x2 < 640 and y2 < 480 and sum(overlap) <= 0.2 * (x2 - x1) * (y2 - y1):
            for side, value in zip(_SIDES, moved, strict=True):
                item.find("bndbox").find(side).text = str(value)
            return True
    return False


def masks(_: str, seed: int, folder: pathlib.Path) -> dict[str, float]:
    """Returns figures for the masks of the nuclei."""
    source = folder / "source"
    if not (DATA / "nuclei").exists():
        return {}
    (source / "masks").mkdir(parents=True)
    for name in ("images", "classes.txt"):
        (source / name).symlink_to(DATA / "nuclei" / name)
    random, files = np.random.default_rng(seed), sorted((DATA / "nuclei" / "masks").glob("*.png"))
    planted = set(random.permutation(len(files))[: round(_MASKS * len(files))].tolist())
    for number, path in enumerate(files):
        mask = PIL.Image.open(path)
        if number in planted:
            mask = _spoil(mask, files[number - random.integers(1, len(files))], random)
        file = io.BytesIO()
        mask.save(file, "PNG")
        (source / "masks" / path.name).write_bytes(file.getvalue())
    examples = _examples(f"masks:{source}", folder)
    began = time.monotonic()
    facts, bundles = _facts(examples)
    keys = facts["key"].to_pylist()
    images, given = read_small(examples, keys)
    verdict = judge_masks(images, given, bundles, 2)
    seconds = time.monotonic() - began
    stems = {files[number].stem for number in planted}
    wrong = np.array([pathlib.PurePath(key).stem in stems for key in keys])
    suspect = np.zeros(len(keys), bool)
    suspect[verdict.worst_first()] = True
    folds, peer = assign_folds(bundles, np.zeros(len(keys), int)), np.zeros(len(keys))
    for index, _, chances in held_out_pixels(images, given, folds):
        inputs = given[index][None].astype(int), chances.transpose(2, 0, 1)[None]
        peer[index] = cleanlab.segmentation.rank.get_label_quality_scores(*inputs, verbose=False)[0][0]
    return _report(wrong, suspect, verdict.own - verdict.rival, {"softmin": peer}, seconds)


def _spoil(mask: PIL.Image.Image, other: pathlib.Path, random: np.random.Generator) -> PIL.Image.Image:
    kind, (width, height) = random.integers(3), mask.size
    if kind == 0:
        return PIL.Image.open(other).resize(mask.size, PIL.Image.Resampling.NEAREST)
    if kind == 1:
        steps = random.choice([-1, 1], 2) * (height // 8, width // 8)
        return PIL.Image.fromarray(np.roll(np.asarray(mask), steps, (0, 1)))
    return PIL.Image.fromarray(np.zeros((height, width), np.uint8))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
