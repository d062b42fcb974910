"""Damaged data sets through all of ingestion: an artifact or a clear refusal, and nothing is lost."""

import random

import pytest
from small_images import damage
from small_sources import coco, masks, voc

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import BeamSettings, ExampleGenSettings, SplitSettings
from conveyor.components.facts import read_facts
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.errors import GateError, UserError

ONE = BeamSettings(options=["--direct_num_workers=1"])


def harm(folder, dice):
    """Damages some files, and removes or swaps a few."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in dice.sample(files, min(len(files), dice.choice((1, 4, 8)))):
        kind = dice.random()
        if kind < 0.8:
            path.write_bytes(damage(path.read_bytes(), dice))
        elif kind < 0.9:
            path.unlink()
        else:
            path.write_bytes(dice.choice([other for other in files if other.exists()]).read_bytes())


def outcome(source, out, **settings):
    """Returns whether an artifact came out of ingestion, and its digest or why there is none."""
    out.mkdir()
    examples = Examples(out)
    try:
        ingest(examples, ExampleGenSettings(source=source, max_quarantine=1, beam=ONE, **settings))
    except (UserError, GateError) as no:
        return False, str(no)
    known, rows = examples.properties, examples.quarantine()
    kept = read_facts(examples, ["key"])["key"].to_pylist()
    aside = [row["file"] for row in rows if row["action"] == "set_aside"]
    assert known["read"] == len(kept) + len(aside) == sum(known["splits"].values()) + known["quarantined"]
    assert len(set(kept)) == len(kept)
    return True, seal(examples, {"stage": "example_gen", "key": "key"})


@pytest.mark.slow
@pytest.mark.parametrize("make", [voc, coco, masks])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_data_sets(make, seed, tmp_path):
    dice = random.Random(f"{make.__name__} {seed}")  # noqa: S311  a str, whose hash is not that of a process
    done = 0
    for number in range(5):
        folder = make(tmp_path / f"data{number}")
        harm(folder, dice)
        splits = SplitSettings(stratify=bool(number % 2))
        found = outcome(f"{make.__name__}:{folder}", tmp_path / f"out{number}", splits=splits)
        done += found[0]
        if number == 0:
            again = outcome(f"{make.__name__}:{folder}", tmp_path / "again", splits=splits)
            assert again == found
    assert done, "the test is worth nothing where everything is refused"
