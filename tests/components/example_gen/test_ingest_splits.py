"""Splits through ingestion: what moves keeps what is its own, and the same data gives the same bytes."""

import collections
import json

import numpy as np
import PIL.Image
import pytest
from small_images import class_files, encode, noise, write_files

from conveyor.components.artifacts import Examples
from conveyor.components.datasets import read_split
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import BeamSettings, ExampleGenSettings, SplitSettings
from conveyor.components.facts import facts_files, read_facts
from conveyor.pipeline.artifacts import seal

THREADS = [
    BeamSettings(options=["--direct_num_workers=1"]),
    *[BeamSettings(options=["--direct_running_mode=multi_threading", "--direct_num_workers=2"])] * 2,
]


def bring_in(source, out, **settings):
    out.mkdir()
    examples = Examples(out)
    ingest(examples, ExampleGenSettings(source=source, max_quarantine=1, **settings))
    return examples


def split_of(examples):
    return {row["key"]: row["split"] for row in read_facts(examples, ["key"]).to_pylist()}


def check_stored(examples):
    """Records and facts are of the same examples, in the same order, and shards are what TFDS is told."""
    known = examples.properties["splits"]
    assert len(facts_files(examples)) == len(list(examples.dataset_dir.glob("*.tfrecord-*")))
    assert {path.name for path in examples.path.iterdir()} <= {
        "dataset", "facts", "previews", "quarantine.jsonl", "artifact.json",
    }  # fmt: skip
    for split in known:
        rows = read_facts(examples, ["key", "label", "objects"], split).to_pylist()
        stored = list(read_split(examples, split).as_numpy_iterator())
        assert [example["id"].decode() for example in stored] == [row["key"] for row in rows]
        assert len(stored) == known[split]
        for example, row in zip(stored, rows, strict=True):
            assert example.get("label", -1) == row["label"]
            if "objects" in example:
                labels = [thing["label"] for thing in row["objects"]]
                assert example["objects"]["label"].tolist() == labels


def with_faults(root):
    """A COCO data set of 140 images in three shards with clipped boxes, outlines and broken files."""
    images = {f"images/{n}.png": encode(noise(20, 30, 3, seed=n)) for n in range(140)}
    images["images/7.png"] = images["images/9.png"][:200]
    boxes = [[25, 5, 20, 9], [2, 2, 10, 10]]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(140)],
        "annotations": [
            {"id": n, "image_id": n // 2, "category_id": n % 7 % 2, "bbox": boxes[n % 2]} for n in range(280)
        ],
        "categories": [{"id": place, "name": name} for place, name in enumerate(["cat", "dog"])],
    }
    content["annotations"][1]["segmentation"] = [[2, 2, 12, 2, 12, 12]]
    return write_files(root, {**images, "all.json": json.dumps(content).encode()})


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("kind", ["coco", "digit_scenes"])
def test_the_same_data_gives_the_same_bytes(kind, stratify, tmp_path):
    """With objects, masks, previews and strata; whatever the number of threads, and again."""
    source = "digit_scenes:scenes,count=70,size=48"
    if kind == "coco":
        source = f"coco:{with_faults(tmp_path / 'data')}"
    digests = set()
    for number, beam in enumerate(THREADS):
        splits = SplitSettings(stratify=stratify)
        examples = bring_in(source, tmp_path / f"out{number}", beam=beam, splits=splits)
        digests.add(seal(examples, {"stage": "example_gen", "key": "key"}))
    assert len(digests) == 1
    check_stored(examples)
    if kind == "coco":
        assert any("preview" in row for row in examples.quarantine())


def test_strata_through_ingestion(tmp_path):
    sizes = {"ant": 10, "bee": 100, "cat": 40}
    files = {name: data for kind, size in sizes.items() for name, data in class_files((kind,), size).items()}
    source = f"folder:{write_files(tmp_path / 'data', files)}"
    examples = bring_in(source, tmp_path / "out", splits=SplitSettings(stratify=True))
    counts = collections.Counter((key.split("/")[0], split) for key, split in split_of(examples).items())
    for name, size in sizes.items():
        shares = [counts[name, split] / size for split in ("train", "validation", "test")]
        assert shares == pytest.approx([0.8, 0.1, 0.1], abs=1e-9)
    check_stored(examples)


def test_folds_through_ingestion(tmp_path):
    source = f"folder:{write_files(tmp_path / 'data', class_files(each=40))}"
    shares = {"train": 0.8, "validation": 0, "test": 0.2, "folds": 3}
    held_out = collections.Counter()
    tested = set()
    for fold in range(3):
        examples = bring_in(source, tmp_path / f"{fold}", splits=SplitSettings(**shares, fold=fold))
        found = split_of(examples)
        held_out.update(key for key, split in found.items() if split == "validation")
        tested.add(frozenset(key for key, split in found.items() if split == "test"))
    assert len(tested) == 1
    assert set(held_out) == set(found) - next(iter(tested))
    assert set(held_out.values()) == {1}


def smooth(seed):
    small = PIL.Image.fromarray(noise(6, 6, 3, seed=seed))
    return np.asarray(small.resize((64, 64), PIL.Image.Resampling.BICUBIC))


def test_resplit(tmp_path):
    """Copies and groups end up in the held-out split that one of them was in; all else stays."""
    rows = ["path,label,split,group"]
    files = {}
    for number in range(24):
        split = "train" if number < 18 else "test"
        files[f"{number}.png"] = encode(smooth(number))
        rows.append(f"{number}.png,{'ab'[number % 2]},{split},{'g' if number in (3, 20) else ''}")
    files["18.png"] = files["2.png"]  # an exact copy on the other side
    files["19.jpg"] = encode(smooth(4), "JPEG", quality=90)  # a near one
    rows[20] = rows[20].replace("19.png", "19.jpg")
    root = write_files(tmp_path / "data", {**files, "list.csv": "\n".join(rows).encode()})
    splits = SplitSettings(train=1, validation=0, test=0)
    found, digests = [], set()
    for number, resplit in enumerate((False, True, True)):
        examples = bring_in(
            f"csv:{root / 'list.csv'}", tmp_path / f"{number}", splits=splits, resplit=resplit
        )
        found.append(split_of(examples))
        check_stored(examples)
        if resplit:
            digests.add(seal(examples, {"stage": "example_gen", "key": "key"}))
    moved = {key for key in found[0] if found[0][key] != found[1][key]}
    assert moved == {"2.png", "3.png", "4.png"}
    assert {found[1][key] for key in moved} == {"test"}
    assert len(digests) == 1
