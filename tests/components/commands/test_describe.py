import pytest
from small_run import draw_images

from conveyor.components.commands.describe import describe_model
from conveyor.pipeline.errors import UserError


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("describe")
    source = draw_images(folder / "source", {"train": 3, "test": 2})
    path = folder / "small.yaml"
    path.write_text(f"data: {{source: 'folder:{source}'}}\nmodel: {{family: linear}}\n", encoding="utf-8")
    return path


def describe(config, *overrides, **more):
    return describe_model(str(config), overrides, config.parent / "workspace", **more)


def test_table_of_the_model_that_would_be_trained(config):
    document = describe(config)
    assert [(row["layer"], row["output"]) for row in document["layers"]] == [
        ("image", "12x10x1"),
        ("flatten", "120"),
        ("logits", "3"),
    ]
    assert document["totals"]["parameters"] == 363
    assert (document["objects"], document["advice"]) == (None, [])


def test_advice_and_picture_on_the_images_as_the_model_sees_them(config, tmp_path):
    cnn = "model={family: cnn, filters: [4], dense: 0}"
    document = describe(config, "transform.size=[20, 16]", cnn, draw=str(tmp_path / "fields.svg"))
    assert [(row["layer"], row["output"], row["receptive_field"]) for row in document["layers"][:2]] == [
        ("image", "20x16x1", 1),
        ("conv_1_1", "20x16x4", 3),
    ]
    assert "the image is 16 px" in document["advice"][0]
    assert "conv_1_1" in (tmp_path / "fields.svg").read_text("utf-8")


def test_pictures_that_cannot_be_are_user_errors(config, tmp_path):
    with pytest.raises(UserError, match="no receptive fields to draw"):
        describe(config, draw=str(tmp_path / "fields.svg"))
    with pytest.raises(UserError, match="cannot be written in this format"):
        describe(config, draw=str(tmp_path / "fields.gif"))


def test_model_that_does_not_fit_is_a_user_error(config):
    with pytest.raises(UserError, match="cannot be built for images of 12x10"):
        describe(config, "model={family: cnn, filters: [4, 4, 4, 4]}")


def test_data_that_cannot_be_used_is_a_user_error(config):
    with pytest.raises(UserError, match="does not exist"):
        describe(config, "data.source=folder:/nowhere/at/all")


def test_anchors_of_a_detector_are_held_against_the_training_boxes(tmp_path):
    model = "model={family: ssd, backbone: {family: cnn, filters: [4, 4], strides: 2, pool_size: 1},"
    small = ("data.source=digit_scenes:scenes,count=10,size=48", "task={kind: detection}")
    config = tmp_path / "scenes.yaml"
    config.write_text("data: {source: digit_scenes}\n", encoding="utf-8")
    levels = " finest: 2, coarsest: 2, filters: 4,"
    suiting = describe(config, *small, f"{model}{levels} anchors: auto}}", draw=str(tmp_path / "fields.svg"))
    report = suiting["anchors"]
    assert [level["stride"] for level in report["levels"]] == [4]
    assert report["levels"][0]["anchors"] == 12 * 12 * 3
    assert sum(row["boxes"] for row in report["classes"]) == report["levels"][0]["boxes"] > 5
    assert min(row["recall_50"] for row in report["classes"]) > 0.5
    assert not [told for told in suiting["advice"] if "overlap an anchor" in told]
    assert "recall" in (tmp_path / "fields-anchors.svg").read_text("utf-8")
    poor = describe(config, *small, f"{model}{levels} scales: [30.0]}}")
    assert "of the" in poor["advice"][-1]
    assert "overlap an anchor" in poor["advice"][-1]
