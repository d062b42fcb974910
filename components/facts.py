"""Facts about each example: a row of a Parquet table, so that no later stage decodes an image for them."""

import pathlib
import typing
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet

if typing.TYPE_CHECKING:
    from conveyor.components.artifacts import Examples

OBJECT = pa.struct(
    [
        ("label", pa.int32()),
        ("x1", pa.float32()),  # pixels, as all sides
        ("y1", pa.float32()),
        ("x2", pa.float32()),
        ("y2", pa.float32()),
        ("area", pa.float32()),  # of its outline where it has one, else of its box; pixels
        ("crowd", pa.bool_()),
        ("difficult", pa.bool_()),
    ]
)
FACTS = pa.schema(
    [
        ("key", pa.string()),  # name at the source; unique
        ("label", pa.int32()),  # -1 where the source has no class per image
        ("group", pa.string()),  # "" for none
        ("source_split", pa.string()),  # the split it is in at the source; "" for none
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("brightness", pa.float32()),  # mean luma in [0, 255]
        ("sharpness", pa.float32()),  # standard deviation of luma's Laplacian
        ("pixel_sum", pa.list_(pa.int64())),  # per channel, of values in [0, 255]
        ("pixel_square_sum", pa.list_(pa.int64())),
        ("content_hash", pa.string()),  # of the source's bytes
        ("fingerprint", pa.binary()),  # see conveyor.components.leaks.fingerprint
        ("objects", pa.list_(OBJECT)),  # empty where the source has none
        ("mask_pixels", pa.list_(pa.int64())),  # per class, then void; empty where there is no mask
    ]
)


def read_facts(examples: "Examples", columns: Sequence[str], only: str = "") -> pa.Table:
    """Returns a column `split` and the asked ones, of all examples: split by split, in stored order.

    Args:
        examples: The artifact.
        columns: Names in `FACTS`.
        only: A split; "" for all.
    """
    tables = []
    for path in facts_files(examples):
        if only in ("", split := split_of(path)):
            table = pyarrow.parquet.read_table(path, columns=list(columns))
            tables.append(table.append_column("split", pa.repeat(split, table.num_rows)))
    return pa.concat_tables(tables)


def facts_files(examples: "Examples") -> list[pathlib.Path]:
    """Returns the tables of an artifact, in the order of splits and shards."""
    splits = list(examples.properties["splits"])
    return sorted(
        examples.facts_dir.glob("*.parquet"), key=lambda path: (splits.index(split_of(path)), path.name)
    )


def split_of(path: pathlib.Path) -> str:
    """Returns the split of a table, which its name starts with."""
    return path.name.rpartition("-")[0]
