"""Pictures of predictions: of every kind of task, whatever its outputs."""

import json

import numpy as np
import PIL.Image
import pytest
from served_models import png, save_means

from conveyor.components.commands.draw import Drawer
from conveyor.components.commands.predict import predict_files
from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.start import Server
from conveyor.pipeline.errors import UserError

IMAGE = png(200, (8, 12))
OUTPUTS = {
    "classification": {"class_id": 1, "class_name": "dog", "probabilities": [0.2, 0.8]},
    "multi_label": {"present": [True, False], "probabilities": [0.9, 0.1], "class_name": ["cat", ""]},
    "detection": {
        "boxes": [[1.0, 1.0, 9.0, 6.0], [-1.0] * 4],
        "scores": [0.9, 0.0],
        "class_id": [0, -1],
        "class_name": ["cat", ""],
        "count": 1,
    },
    "instance_segmentation": {
        "boxes": [[1.0, 1.0, 9.0, 6.0], [-1.0] * 4],
        "scores": [0.9, 0.0],
        "class_id": [0, -1],
        "masks": [[[1.0] * 4] * 4, [[0.0] * 4] * 4],
        "count": 1,
    },
    "segmentation": {"class_map": np.ones((8, 12), int).tolist(), "sizes": [8, 12]},
    "reconstruction": {
        "reconstruction": np.full((8, 12, 1), 0.5).tolist(),
        "anomaly_score": 0.01,
        "is_anomaly": False,
    },
}


def contract(kind):
    return {"task": {"kind": kind}, "classes": ["cat", "dog"], "thresholds": {}}


@pytest.mark.parametrize("kind", sorted(OUTPUTS))
def test_every_task_is_drawn(tmp_path, kind):
    drawer = Drawer(contract(kind), tmp_path / "pictures")
    path = drawer.draw("some/where/a.jpg", IMAGE, OUTPUTS[kind])
    assert path == tmp_path / "pictures" / "a.png"
    pixels = np.asarray(PIL.Image.open(path))
    assert pixels.shape[1] >= 280  # small images are enlarged
    scalars = sum(not isinstance(value, list) for value in OUTPUTS[kind].values())
    assert not scalars or pixels[len(pixels) - 16 * scalars :].min() < 128  # black on white
    unlike = (pixels[: len(pixels) - 16 * scalars] != 200).any()
    assert unlike == (kind not in ("classification", "multi_label"))


def test_a_box_is_where_it_was_found(tmp_path):
    path = Drawer(contract("detection"), tmp_path).draw("a.png", IMAGE, OUTPUTS["detection"])
    pixels = np.asarray(PIL.Image.open(path).crop((0, 0, 12 * 24, 8 * 24)).resize((12, 8), 0)).astype(int)
    coloured = np.ptp(pixels, axis=2) > 60
    rows, columns = np.nonzero(coloured)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 5, 1, 8)


def test_images_of_one_name_do_not_overwrite_each_other(tmp_path):
    drawer = Drawer(contract("classification"), tmp_path)
    names = [drawer.draw(name, IMAGE, {}).name for name in ("x/a.png", "y/a.jpg", "b.png", "z/a.png")]
    assert names == ["a.png", "a-2.png", "b.png", "a-3.png"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"task": {"kind": "cooking"}, "classes": [], "thresholds": {}},
        {**contract("detection"), "classes": None},
    ],
)
def test_a_model_that_does_not_say_what_it_is_for(tmp_path, broken):
    with pytest.raises(UserError, match="does not say what it is for"):
        Drawer(broken, tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("served", [False, True])
def test_pictures_of_a_folder_and_of_a_server(tmp_path, served):
    base = tmp_path / "m"
    base.mkdir()
    save_means(base / "1")
    told = base / "1" / "assets.extra" / "contract.json"
    told.write_text(json.dumps({**contract("classification"), "input": {}}))
    (tmp_path / "a.png").write_bytes(png(10))
    (tmp_path / "bad.png").write_bytes(b"no image")
    files = [str(tmp_path / name) for name in ("a.png", "bad.png")]
    server = Server({"m": str(base)}, ServeSettings(port=0, grpc_port=0)) if served else None
    model = server.addresses["rest"] if server else str(base)
    try:
        rows = list(predict_files(model, files, draw=tmp_path / "pictures"))
    finally:
        if server:
            server.stop()
            server.wait()
    assert rows[0]["picture"] == str(tmp_path / "pictures" / "a.png")
    assert "picture" not in rows[1]
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["a.png"]
