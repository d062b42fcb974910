"""Other formats of a small model: their answers, what is published, and what is said of the rest."""

import keras
import numpy as np
import pytest
from small_run import new, sealed

from conveyor.components.artifacts import Formats
from conveyor.components.exporter import measure
from conveyor.components.exporter.formats import FORMATS, Format
from conveyor.components.exporter.settings import ExporterSettings
from conveyor.components.exporter.stage import exporter
from conveyor.components.pusher.push import FORMATS as PLACE
from conveyor.components.pusher.push import push
from conveyor.models.detection.settings import DETECTIONS
from conveyor.models.linear.linear import Linear
from conveyor.models.ssd.ssd import SSD
from conveyor.models.unet.unet import UNet
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

CHECK = {"metric": "accuracy", "at_least": 0.1}
pytestmark = pytest.mark.slow


def run_stage(run, tmp_path, formats, **export):
    formats_, context = new(tmp_path, Formats), Context()
    exporter(
        examples=run.examples,
        model=run.model,
        transform_graph=run.graph,
        evaluation=run.evaluation,
        blessing=run.blessing,
        formats=formats_,
        settings=ExporterSettings(
            task={},
            judge={"bless": CHECK, "bootstrap": 200},
            export={"formats": formats, **export},
        ),
        context=context,
    )
    return formats_, context.notes


@pytest.fixture(scope="module")
def linear():
    return Linear((12, 10, 1), 3)


INPUTS = np.random.default_rng(0).random((5, 12, 10, 1), np.float32)


@pytest.mark.parametrize(("name", "close"), [("litert", 1e-5), ("onnx", 1e-5), ("litert_int8", 0.05)])
def test_a_format_answers_as_the_model_does(linear, name, close):
    content = FORMATS[name].convert(linear, [INPUTS])
    found = FORMATS[name].open(content)(INPUTS)["output"]
    np.testing.assert_allclose(found, linear(INPUTS).numpy(), atol=close)


@pytest.mark.parametrize(("name", "apart"), [("onnx", 1e-4), ("litert", 1e-4), ("litert_int8", None)])
@pytest.mark.parametrize("vote", [None, 0.7])
def test_a_detector_suppresses_in_every_format(name, apart, vote):
    keras.utils.set_random_seed(0)  # boxes of almost the same score may come in any order
    backbone = {"family": "cnn", "filters": [4, 6], "strides": 2, "pool_size": 1}
    detections = {**DETECTIONS, "vote": vote}
    model = SSD((16, 24, 1), 2, backbone, finest=2, coarsest=2, filters=4, detections=detections)
    images = np.random.default_rng(0).random((3, 16, 24, 1), np.float32)
    found = FORMATS[name].open(FORMATS[name].convert(model, [images]))(images)
    expected = model.serve(images)
    assert {key: value.shape for key, value in found.items()} == {
        key: tuple(value.shape) for key, value in expected.items()
    }
    if apart:
        np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=apart)
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=apart)


def test_a_loop_in_8_bits_is_told():
    """The converter would end the process."""
    backbone = {"family": "cnn", "filters": [4, 6], "strides": 2, "pool_size": 1}
    soft = {**DETECTIONS, "soft": True}
    model = SSD((16, 24, 1), 2, backbone, finest=2, coarsest=2, filters=4, detections=soft)
    with pytest.raises(UserError, match="cannot be converted") as caught:
        FORMATS["litert_int8"].convert(model, [np.zeros((1, 16, 24, 1), np.float32)])
    assert "soft suppression" in caught.value.received


def test_a_segmenter_of_any_size_takes_any_in_onnx():
    model = UNet((None, None, 1), 3, filters=[3, 4, 5], convolutions=1)
    run = FORMATS["onnx"].open(FORMATS["onnx"].convert(model, []))
    for height, width in ((16, 12), (13, 19)):
        images = np.random.default_rng(0).random((2, height, width, 1), np.float32)
        np.testing.assert_allclose(run(images)["output"], model(images), atol=1e-5)


def test_all_formats_of_a_run(run, tmp_path):
    formats, notes = run_stage(run, tmp_path, list(FORMATS))
    document = formats.read()
    judged = run.evaluation.read()["metrics"]["accuracy"]["value"]
    rows = {row["format"]: row for row in document["formats"]}
    assert list(rows) == ["litert", "litert_int8", "onnx"]
    for name in ("litert", "onnx"):
        assert rows[name]["value"] == judged
        assert rows[name]["gain"] == {"value": 0, "low": 0, "high": 0}
        assert rows[name]["published"]
        assert rows[name]["metrics"]["accuracy"] == judged
    for row in rows.values():
        path = formats.files / row["file"]
        assert path.exists() == row["published"] == (not row["reason"])
        assert not row["published"] or path.stat().st_size == row["bytes"]
    assert len([note for note in notes if "ms an image" in note]) == 3


def test_a_format_that_is_worse_is_not_published(run, tmp_path, monkeypatch):
    found = FORMATS["litert"]

    def worse(content):
        run_ = found.open(content)
        return lambda inputs: {name: -array for name, array in run_(inputs).items()}

    monkeypatch.setitem(measure.FORMATS, "litert", Format(found.file, found.convert, worse))
    formats, notes = run_stage(run, tmp_path, ["litert"])
    (row,) = formats.read()["formats"]
    assert not row["published"]
    assert row["gain"]["value"] < -0.1
    assert "accuracy may be worse by" in row["reason"]
    assert list(formats.files.iterdir()) == []
    assert any("litert is not published" in note for note in notes)
    tolerant, _ = run_stage(run, tmp_path / "again", ["litert"], max_drop=1.0)
    assert tolerant.read()["formats"][0]["published"]


def test_a_model_that_cannot_be_converted_is_told(run, tmp_path, monkeypatch):
    def broken(network, calibration):
        raise RuntimeError("some op\nis not known")

    found = FORMATS["onnx"]
    monkeypatch.setitem(measure.FORMATS, "onnx", Format(found.file, broken, found.open))
    formats, _ = run_stage(run, tmp_path, ["onnx", "litert"])
    rows = formats.read()["formats"]
    assert rows[0]["reason"] == "it cannot be converted: some op"
    assert rows[1]["published"]


def test_formats_lie_in_the_pushed_version(run, tmp_path):
    formats, _ = run_stage(run, tmp_path, ["litert"])
    formats = sealed(formats)
    told = push(run.model, str(tmp_path / "serving"), {}, 10, formats)
    pushed = tmp_path / "serving" / "1" / PLACE / "model.tflite"
    assert pushed.read_bytes() == (formats.files / "model.tflite").read_bytes()
    assert push(run.model, str(tmp_path / "serving"), {}, 10, formats)["version"] == told["version"] == 1
    assert push(run.model, str(tmp_path / "serving"), {}, 10)["version"] == 2  # it is to have none now


def test_the_same_formats_have_the_same_bytes(run, tmp_path):
    first, second = (sealed(run_stage(run, tmp_path / str(time), list(FORMATS))[0]) for time in range(2))
    for name in ("model.tflite", "model_int8.tflite", "model.onnx"):
        assert (first.files / name).read_bytes() == (second.files / name).read_bytes(), name
    assert first.digest == second.digest
