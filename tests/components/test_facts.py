"""Facts: what is asked for, split by split, in the order in which it is stored."""

import pyarrow as pa
import pyarrow.parquet
import pytest

from conveyor.components.artifacts import Examples
from conveyor.components.facts import FACTS, facts_files, read_facts, split_of

# In order of time, as a file system may list them: splits and shards out of order.
FILES = {
    "test-00000": ["t0"],
    "train-00010": ["b10"],
    "train-00002": ["b2", "a2"],
    "a-b-00000": ["x"],
    "train-00000": ["z0"],
}


@pytest.fixture
def examples(tmp_path):
    examples = Examples(tmp_path, {"splits": {"train": 4, "test": 1, "a-b": 1}})
    examples.facts_dir.mkdir()
    for name, keys in FILES.items():
        rows = [{"key": key, "label": len(key), "objects": [], "mask_pixels": [1, 2]} for key in keys]
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows, FACTS), examples.facts_dir / f"{name}.parquet")
    return examples


def test_in_the_order_of_splits_shards_and_rows(examples):
    table = read_facts(examples, ["key"])
    assert table.to_pylist() == [
        {"key": "z0", "split": "train"},
        {"key": "b2", "split": "train"},
        {"key": "a2", "split": "train"},
        {"key": "b10", "split": "train"},
        {"key": "t0", "split": "test"},
        {"key": "x", "split": "a-b"},
    ]


def test_only_what_is_asked_for(examples):
    table = read_facts(examples, ["label", "mask_pixels", "objects"], "train")
    assert table.column_names == ["label", "mask_pixels", "objects", "split"]
    assert table["label"].to_pylist() == [2, 2, 2, 3]
    assert table["mask_pixels"].to_pylist() == [[1, 2]] * 4
    assert table.schema.field("objects").type == FACTS.field("objects").type
    assert read_facts(examples, [])["split"].to_pylist() == ["train"] * 4 + ["test", "a-b"]


def test_names_of_files(examples):
    assert [path.stem for path in facts_files(examples)] == [
        "train-00000", "train-00002", "train-00010", "test-00000", "a-b-00000",
    ]  # fmt: skip
    assert [split_of(path) for path in facts_files(examples)] == ["train"] * 3 + ["test", "a-b"]
