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


def describe(config, *overrides):
    return describe_model(str(config), overrides, config.parent / "workspace")


def test_table_of_the_model_that_would_be_trained(config):
    table = describe(config)
    assert [(row["layer"], row["output"]) for row in table] == [
        ("image", "12x10x1"),
        ("flatten", "120"),
        ("logits", "3"),
    ]
    table = describe(config, "transform.size=[20, 16]", "model={family: cnn, filters: [4], dense: 0}")
    assert [(row["layer"], row["output"], row["receptive_field"]) for row in table[:4]] == [
        ("image", "20x16x1", 1),
        ("conv_1_1", "20x16x4", 3),
        ("relu_1_1", "20x16x4", 3),
        ("pool_1", "10x8x4", 4),
    ]


def test_model_that_does_not_fit_is_a_user_error(config):
    with pytest.raises(UserError, match="cannot be built for images of 12x10"):
        describe(config, "model={family: cnn, filters: [4, 4, 4, 4]}")


def test_data_that_cannot_be_used_is_a_user_error(config):
    with pytest.raises(UserError, match="does not exist"):
        describe(config, "data.source=folder:/nowhere/at/all")
