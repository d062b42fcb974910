"""What the card says of the model and of the gap between splits."""

import json
import re

import pytest
from layer_rows import layer_row

from conveyor.components.model_card.fields import fields, fields_plot
from conveyor.components.model_card.gap import gap_section
from conveyor.components.model_card.model import model_section
from conveyor.components.model_card.results import Results
from conveyor.components.model_card.standalone import save
from conveyor.pipeline.errors import UserError


def results(run):
    run.seal()
    return Results(**run.made)


def test_model_section_has_table_advice_field_and_pictures(run):
    section = model_section(results(run), gallery=24)
    names = [column["name"] for column in section["columns"]]
    assert "dilation" not in names  # 1 everywhere
    assert section["layers"][1][names.index("receptive field")] == 3
    assert [sentence.split()[0] for sentence in section["advice"]] == ["A", "dense"]
    assert "the image is 32 px" in section["advice"][0]
    assert [figure.title for figure in section["field"]] == ["Receptive field"]
    assert [len(figure.pictures) for figure in section["seen"]] == [1]
    assert section["seen"][0].pictures[0]["width"] == 504


def test_advice_is_on_the_objects_of_the_data_where_there_are_some(run):
    statistics = run.made["statistics"].read()
    cuts = [number / 20 for number in range(11)]  # a side of 8 of 32 pixels is the median
    statistics["train"]["objects"] = {"relative_size": {"quantiles": cuts}, "count": 1}
    run.made["statistics"].write(statistics)
    advice = model_section(results(run), gallery=24)["advice"]
    assert "the median object is 8 px" in advice[0]


def test_model_section_without_files(run):
    for name in ("layers_file", "plots_file", "history_file"):
        getattr(run.made["model"], name).unlink()
    section = model_section(results(run), gallery=24)
    assert (section["layers"], section["advice"], section["field"], section["seen"]) == ([], [], [], [])


def test_page_shows_what_the_model_sees_and_the_gap(run):
    page = run.card()
    assert "What the model sees" in page
    assert 'alt="&lt;/script&gt;' in page  # the hostile caption of the feature maps
    gap = page[page.index('<section id="gap">') : page.index('<section id="data">')]
    assert "0.9991" in gap
    assert "[0.9982 – 0.9999]" in gap


def with_gap(run, **splits):
    evaluation = run.made["evaluation"]
    gap = {
        name: {"accuracy": dict(zip(("value", "low", "high"), values, strict=True)), "ece": None}
        for name, values in splits.items()
    }
    evaluation.write({**evaluation.read(), "gap": gap})
    return gap_section(results(run))


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ((0.99, 0.98, 0.995), (0.95, 0.93, 0.97), "larger than chance"),
        ((0.93, 0.92, 0.94), (0.96, 0.95, 0.97), "larger than chance"),  # either way round
        ((0.99, 0.97, 0.995), (0.96, 0.95, 0.98), "chance alone may explain"),
        ((0.99, 0.97, 0.995), (0.96, 0.95, 0.97), "chance alone may explain"),  # they touch
    ],
)
def test_gap_is_larger_than_chance_where_intervals_lie_apart(run, train, test, expected):
    section = with_gap(run, train=train, test=test)
    assert section["metrics"] == ["accuracy", "ece"]
    assert [row["split"] for row in section["rows"]] == ["train", "test"]
    (sentence,) = section["sentences"]
    assert expected in sentence
    assert f"{train[0]:.4f} on train and {test[0]:.4f} on test" in sentence


def test_gap_needs_two_splits_and_intervals(run):
    assert with_gap(run, train=(0.9, 0.8, 1.0)) is None
    assert with_gap(run, train=(0.9, None, None), test=(0.9, 0.8, 1.0))["sentences"] == []


def rows(count):
    return [
        layer_row(layer="image", output="64x32x3", jump=1, receptive_field=1),
        *(
            layer_row(layer=f"conv_{i}", output="64x32x8", kernel=3, receptive_field=[3 + 2 * i, 5 + 2 * i])
            | {"effective_field": 3 if i % 9 == 0 else None}
            for i in range(count)
        ),
    ]


def test_field_chart_is_centred_and_keeps_what_is_measured():
    plot = fields_plot(rows(90), {"median": 20.4, "small": 3.0, "large": 30.0})
    assert len(plot["items"]) == 40
    assert [item["name"] for item in plot["items"] if item["effective"]] == [
        f"conv_{i}" for i in range(0, 90, 9)
    ]
    chart = fields(plot)
    drawn = chart.spec["datasets"]["rows"]
    first = drawn[0]
    assert (first["low"], first["high"], first["inner_low"], first["inner_high"]) == (-2.5, 2.5, -1.5, 1.5)
    assert chart.spec["datasets"]["marks"][0] == {"name": "image", "low": -16, "high": 16}
    assert chart.note == "Lines: image 32 px, median object 20 px."


def test_no_field_chart_without_windows():
    assert fields_plot([]) is None
    assert fields_plot([layer_row(layer="image", output="8x8x1", receptive_field=1)]) is None


@pytest.mark.parametrize("suffix", ["svg", "png", "html"])
def test_chart_is_saved_as_a_file_of_its_own(tmp_path, suffix):
    file = tmp_path / f"fields.{suffix}"
    save(fields_plot(rows(3)), file)
    content = file.read_bytes()
    start = {"svg": b"<svg", "png": b"\x89PNG", "html": b"<!DOCTYPE html>"}[suffix]
    assert content.lstrip().startswith(start)
    assert b"var(--" not in content.split(b"<script")[-1]
    if suffix != "png":
        assert b"conv_2" in content
        assert not re.search(rb"<(script|link)[^>]+(src|href)=\"http", content)


def test_unknown_format_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be written in this format"):
        save(fields_plot(rows(3)), tmp_path / "fields.gif")


def test_plot_is_json():
    plot = fields_plot(rows(3))
    assert json.loads(json.dumps(plot)) == plot
