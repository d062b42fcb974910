"""Batch scoring: what is written is what `predict_files` answers, row by row."""

import json

import pyarrow.parquet as pq
import pytest
from served_models import save_maps, save_means

from conveyor.components.commands.predict import predict_files
from conveyor.components.commands.score import Scoring, score
from conveyor.components.example_gen.settings import BeamSettings
from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.start import Server
from conveyor.pipeline.errors import UserError


@pytest.fixture(scope="module")
def means(tmp_path_factory):
    base = tmp_path_factory.mktemp("means")
    save_means(base / "1")
    return base


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    from served_models import png

    folder = tmp_path_factory.mktemp("images")
    for value in range(7):
        (folder / f"{value}.png").write_bytes(png(20 * value, (2, 3)))
    (folder / "4.png").write_bytes(b"no image")
    return folder


def rows_of(files):
    rows = []
    for file in files:
        if file.endswith(".parquet"):
            rows += pq.read_table(file).to_pylist()
        else:
            with open(file, encoding="utf-8") as lines:
                rows += map(json.loads, lines)
    return sorted(rows, key=lambda row: row["image"])


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("options", [[], ["--direct_num_workers=2"]])
def test_rows_are_those_of_predict(means, images, tmp_path, suffix, options):
    scoring = Scoring(str(means), [f"{images}/*.png"], str(tmp_path / f"scores{suffix}"), batch_size=3)
    found = score(scoring, BeamSettings(options=options))
    assert (found["images"], found["failed"]) == (7, 1)
    paths = sorted(map(str, images.iterdir()))
    for row, expected in zip(rows_of(found["files"]), predict_files(str(means), paths), strict=True):
        if "error" in expected:
            assert (row["image"], row["error"]) == (expected["image"], expected["error"])
            assert row.get("mean") is None
        else:
            assert row == {"error": None, **expected}


def test_maps_are_lists_of_lists(tmp_path, images):
    model = save_maps(tmp_path / "model")
    found = score(
        Scoring(str(model), [str(images / "1.png")], str(tmp_path / "maps.parquet")), BeamSettings()
    )
    (row,) = rows_of(found["files"])
    assert row["class_map"] == [[20, 20, 20], [20, 20, 20]]
    assert row["sizes"] == [2, 3]


def test_a_server_is_asked(means, images, tmp_path):
    server = Server({"m": str(means)}, ServeSettings(port=0, grpc_port=0))
    try:
        to = str(tmp_path / "scores.parquet")
        found = score(Scoring(server.addresses["rest"], [str(images / "1.png")], to), BeamSettings())
    finally:
        server.stop()
        server.wait()
    (row,) = rows_of(found["files"])
    assert (row["mean"], row["class_name"]) == (20.0, "dark")


@pytest.mark.parametrize(
    ("images", "to", "what"),
    [(["a.png"], "x.csv", "this format"), (["absent/*.png"], "x.jsonl", "no image is matched")],
)
def test_what_is_wrong_is_told(means, tmp_path, images, to, what):
    with pytest.raises(UserError, match=what):
        score(Scoring(str(means), images, str(tmp_path / to)), BeamSettings())
    with pytest.raises(UserError, match="no exported model"):
        score(Scoring(str(tmp_path / "absent"), ["a.png"], str(tmp_path / "x.jsonl")), BeamSettings())
    assert not list(tmp_path.iterdir())
