"""Ingestion as a whole: nothing is lost, the same data gives the same bytes, and what stops it."""

import errno
import hashlib
import io
import json
import pathlib

import numpy as np
import PIL.Image
import pyarrow.parquet
import pytest
import tensorflow as tf
from small_images import class_files, decode, encode, noise, write_files

from conveyor.components.artifacts import Examples
from conveyor.components.datasets import read_split
from conveyor.components.example_gen import ingest as module
from conveyor.components.example_gen import shards
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import BeamSettings, ExampleGenSettings
from conveyor.components.example_gen.stage import example_gen, source_fingerprint
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.errors import GateError, UserError
from conveyor.pipeline.stage import Context

# Beam's threads may outlive a pipeline that failed by a moment.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
WHOLE = encode(noise(20, 20))
BAD = {
    "cat/empty.png": b"",
    "cat/cut.png": WHOLE[: len(WHOLE) // 2],
    "dog/text.jpg": b"no image",
    "dog/huge.png": encode(noise(40, 50)),
}
REASONS = {
    "cat/cut.png": "truncated",
    "cat/empty.png": "empty",
    "dog/huge.png": "too_large",
    "dog/text.jpg": "unreadable",
}
OTHERS = {
    "cat/palette.gif": encode(noise(6, 5, 3), "GIF"),
    "cat/photo.jpg": encode(noise(6, 5, 3), "JPEG"),
    "dog/bitmap.bmp": encode(noise(6, 5, 3), "BMP"),
}


@pytest.fixture
def bring_in(tmp_path):
    """Ingests files, or a source; returns the Examples."""
    count = 0

    def bring_in(data, **settings):
        nonlocal count
        count += 1
        if not isinstance(data, str):
            data = f"folder:{write_files(tmp_path / f'data{count}', data)}"
        examples = Examples(tmp_path / f"examples{count}")
        examples.path.mkdir()
        ingest(examples, ExampleGenSettings(source=data, **settings))
        return examples

    return bring_in


def facts(examples):
    """Returns split -> rows of facts."""
    found = {}
    for path in sorted(examples.facts_dir.glob("*.parquet")):
        found.setdefault(path.name.rpartition("-")[0], []).extend(
            pyarrow.parquet.read_table(path).to_pylist()
        )
    return found


def splits_by_key(examples):
    return {row["key"]: split for split, rows in facts(examples).items() for row in rows}


def test_nothing_is_lost(bring_in):
    files = {**class_files(each=100), **OTHERS, **BAD}
    examples = bring_in(files, max_pixels=1999, max_quarantine=0.1)
    known = examples.properties
    assert known["read"] == len(files) == sum(known["splits"].values()) + known["quarantined"]
    assert {row["file"]: row["reason"] for row in examples.quarantine()} == REASONS
    assert [row["file"] for row in examples.quarantine()] == sorted(REASONS)
    assert all(row["detail"] for row in examples.quarantine())
    assert set(splits_by_key(examples)) == set(files) - set(BAD)
    assert {split: len(rows) for split, rows in facts(examples).items()} == known["splits"]
    assert list(known["splits"]) == ["train", "validation", "test"]
    assert (known["classes"], known["channels"]) == (["cat", "dog"], 3)
    assert known["summary"] == {"quarantined": 4}
    assert sorted(path.name for path in examples.path.iterdir()) == [
        "dataset",
        "facts",
        "previews",
        "quarantine.jsonl",
    ]


def test_what_is_stored(bring_in):
    files = {**class_files(each=30), **OTHERS}
    examples = bring_in(files)
    for split, rows in facts(examples).items():
        stored = list(read_split(examples, split).as_numpy_iterator())
        assert [example["id"].decode() for example in stored] == [row["key"] for row in rows]
        for example, row in zip(stored, rows, strict=True):
            source = files[row["key"]]
            label = row["key"].split("/")[0]
            assert example["label"] == row["label"] == ["cat", "dog"].index(label)
            if row["format"] in ("PNG", "JPEG"):
                assert example["image"] == source
            np.testing.assert_array_equal(decode(example["image"]), _rgb_of(source))
            assert (row["height"], row["width"], row["bytes"]) == (6, 5, len(example["image"]))
            assert row["pixel_sum"] == decode(example["image"]).reshape(30, -1).sum(0).tolist()
            assert row["content_hash"] == hashlib.sha256(source).hexdigest()[:32]


def _rgb_of(data):
    image = PIL.Image.open(io.BytesIO(data))
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)


def test_the_same_data_gives_the_same_bytes(bring_in):
    """Whatever the number of workers, the run, the place, and the order files were written in."""
    files = {**class_files(each=100, channels=3), **BAD}
    threads = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    digests = set()
    for options in (["--direct_num_workers=1"], threads, threads):
        files = dict(reversed(files.items()))
        examples = bring_in(files, max_quarantine=0.1, beam=BeamSettings(options=options))
        digests.add(seal(examples, {"stage": "example_gen", "key": "key"}))
    assert len(digests) == 1


def test_added_data_moves_nothing(bring_in):
    files = class_files(each=60)
    before = splits_by_key(bring_in(files))
    after = splits_by_key(bring_in({**files, **class_files(("ant", "cat"), each=100, seed=1)}))
    kept = {key: split for key, split in after.items() if key in before and not key.startswith("cat")}
    assert kept == {key: split for key, split in before.items() if not key.startswith("cat")}
    assert len(set(kept.values())) == 3


def test_copies_are_in_one_split(bring_in):
    files = class_files(each=60)
    copies = {name.replace(".png", "-copy.png"): data for name, data in files.items()}
    found = splits_by_key(bring_in({**files, **copies}))
    assert all(found[name] == found[name.replace(".png", "-copy.png")] for name in files)
    assert len(set(found.values())) == 3


def test_splits_of_the_source_are_kept(bring_in):
    train = {f"train/{name}": data for name, data in class_files(each=100).items()}
    test = {f"Test/{name}": data for name, data in class_files(each=20, seed=1).items()}
    found = splits_by_key(bring_in({**train, **test}))
    assert {found[name] for name in test} == {"test"}
    assert {found[name] for name in train} == {"train", "validation"}


def test_a_class_without_usable_images_is_kept_as_one(bring_in):
    """Whether that is an error is for the validator to say."""
    examples = bring_in({**class_files(each=30), "bird/1.png": b"", "ant/readme.txt": b"none yet"})
    assert examples.properties["classes"] == ["ant", "bird", "cat", "dog"]
    assert bring_in(class_files(("cat",), each=3)).properties["classes"] == ["cat"]


def test_nothing_can_be_used(bring_in):
    with pytest.raises(GateError, match="not one image of the source can be used") as caught:
        bring_in({"cat/1.png": b"", "dog/1.png": b"no image"})
    assert "2 files" in caught.value.received
    assert json.dumps("cat/1.png") in caught.value.received


class Nothing:
    """A reader of a source that is there, but has no examples."""

    annotations = frozenset({"label"})

    def classes(self):
        return ["cat", "dog"]

    def splits(self):
        return {"train"}

    def chunks(self):
        return []


def test_there_is_nothing(bring_in, monkeypatch):
    monkeypatch.setattr(module, "open_source", lambda source: Nothing())
    with pytest.raises(GateError, match="not one image of the source can be used"):
        bring_in("tfds:nothing")


@pytest.mark.parametrize(
    "names", [("cat", "two\nlines"), ("cat", " cat"), ("cat", "\t"), ("cat", "a\u2028b")]
)
def test_class_names_that_a_data_set_cannot_keep(bring_in, names):
    with pytest.raises(UserError, match="class names that cannot be kept apart") as caught:
        bring_in(class_files(names, each=2))
    assert repr(names[1]) in caught.value.received


def test_odd_class_names(bring_in):
    names = [" cat ", "[a]*", "猫 😀", 'quote"', "-rf"]
    examples = bring_in(class_files(names, each=4))
    assert examples.properties["classes"] == sorted(names)
    stored = list(read_split(examples, "train").as_numpy_iterator())
    for example in stored:
        assert example["id"].decode().split("/")[0] == sorted(names)[example["label"]]


def test_files_that_vanish(tmp_path, bring_in, monkeypatch):
    path = write_files(tmp_path / "data", class_files(each=60))
    listed = module.open_source(f"folder:{path}")
    assert len(listed.classes()) == 2
    monkeypatch.setattr(module, "open_source", lambda source: listed)
    (path / "cat" / "7.png").unlink()
    examples = bring_in(f"folder:{path}")
    assert examples.properties["read"] == 120
    (row,) = examples.quarantine()
    assert (row["file"], row["reason"], row["action"]) == ("cat/7.png", "unreadable", "set_aside")
    assert row["detail"] == "No such file or directory"


def test_a_full_disk(bring_in, monkeypatch):
    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device", "/the/disk")

    monkeypatch.setattr(shards, "write_record", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        bring_in(class_files(each=3))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/the/disk")


def test_a_bug_stays_one(bring_in, monkeypatch):
    def broken(file, data):
        raise ValueError("[Errno] of another kind")

    monkeypatch.setattr(shards, "write_record", broken)
    with pytest.raises(RuntimeError, match="of another kind"):
        bring_in(class_files(each=3))


def test_grey_data_stay_grey(bring_in):
    examples = bring_in(class_files(each=30))
    assert examples.properties["channels"] == 1
    (example, *_) = read_split(examples, "train").as_numpy_iterator()
    assert tf.io.decode_image(example["image"]).shape == (6, 5, 1)


def test_there_is_no_such_split(bring_in):
    with pytest.raises(UserError, match="no split 'tset'") as caught:
        read_split(bring_in(class_files(each=30)), "tset")
    assert "'test'" in caught.value.fix


def test_the_stage(tmp_path):
    path = write_files(tmp_path / "data", class_files(each=30))
    settings = ExampleGenSettings(source=f"folder:{path}")
    examples = Examples(tmp_path / "out")
    examples.path.mkdir()
    example_gen(examples=examples, settings=settings, context=Context())
    assert examples.properties["read"] == 60
    before = source_fingerprint(settings, tmp_path)
    (path / "cat" / "0.png").write_bytes(WHOLE)
    assert source_fingerprint(settings, tmp_path) != before


# === other sources ===


def test_csv_with_groups_keeps_each_group_in_one_split(tmp_path):
    rows = ["path,label,group"]
    for number in range(120):
        PIL.Image.new("L", (6, 6), number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]},patient {number % 24}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    artifact = Examples(tmp_path / "out")
    artifact.path.mkdir()
    ingest(artifact, ExampleGenSettings(source=f"csv:{tmp_path / 'table.csv'}"))
    splits = {}
    for file in artifact.facts_dir.iterdir():
        for key in pyarrow.parquet.read_table(file)["key"].to_pylist():
            patient = int(pathlib.Path(key).stem) % 24
            splits.setdefault(patient, set()).add(file.name.rpartition("-")[0])
    assert len(splits) == 24
    assert all(len(found) == 1 for found in splits.values())
    assert len(artifact.properties["splits"]) > 1


def test_npz_is_read(tmp_path):
    images = np.arange(40 * 36, dtype=np.uint8).reshape(40, 6, 6)
    np.savez(tmp_path / "data.npz", x=images, y=np.arange(40) % 2)
    artifact = Examples(tmp_path / "out")
    artifact.path.mkdir()
    ingest(artifact, ExampleGenSettings(source=f"npz:{tmp_path / 'data.npz'}"))
    assert sum(artifact.properties["splits"].values()) == artifact.properties["read"] == 40
