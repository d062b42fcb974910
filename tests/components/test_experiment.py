"""What a config says reaches the stage that it is for."""

import pytest

from conveyor.components.experiment import build_pipeline, load_experiment
from conveyor.pipeline.errors import UserError


def settings_of(overrides, tmp_path):
    """Returns stage name -> its settings."""
    experiment = load_experiment("digits_cnn", overrides)
    pipeline = build_pipeline(experiment, "digits_cnn", tmp_path)
    return {node.name: node.settings for node in pipeline.nodes}


def test_sections_reach_their_stages(tmp_path):
    found = settings_of(
        [
            "pusher.keep=3",
            "pusher.golden=5",
            "pusher.to={workspace}/x/{name}",
            "infra_validator.tolerance=0.5",
            "evaluator.bootstrap=20",
            "export=[onnx]",
            "trainer.epochs=2",
            "seed=7",
        ],
        tmp_path,
    )
    assert (found["pusher"].keep, found["pusher"].golden) == (3, 5)
    assert found["pusher"].to == f"{tmp_path}/x/digits_cnn"
    assert found["infra_validator"].proof.tolerance == 0.5
    assert found["exporter"].export.formats == ["onnx"]
    assert found["exporter"].judge == found["evaluator"].judge
    assert found["evaluator"].judge.bootstrap == 20
    assert (found["trainer"].fit.epochs, found["trainer"].seed, found["evaluator"].seed) == (2, 7, 7)


def test_other_formats_are_a_stage_only_where_asked_for(tmp_path):
    assert "exporter" not in settings_of([], tmp_path)


@pytest.mark.parametrize("override", ["evaluator.bless=[]", "evaluator.bootstrap=0"])
def test_other_formats_need_something_to_be_compared_by(override):
    with pytest.raises(UserError, match=r"export\.formats needs a check"):
        load_experiment("digits_cnn", ["export=[onnx]", override])


def test_unknown_formats():
    with pytest.raises(UserError) as caught:
        load_experiment("digits_cnn", ["export=[tflite]"])
    assert "litert" in str(caught.value)


def test_windows_are_around_something_where_there_are_windows():
    assert load_experiment("scenes_fcn", ["trainer.foreground=0.5"]).trainer.foreground == 0.5
    with pytest.raises(UserError, match="is for training windows") as caught:
        load_experiment("scenes_fcn", ["transform.resize=letterbox"])
    assert caught.value.received == "letterbox"
