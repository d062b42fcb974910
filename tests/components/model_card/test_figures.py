"""Plots become figures, whatever they hold."""

import base64
import io
import json
import math
import pathlib

import altair
import PIL.Image
import pytest

from conveyor.components.model_card.figures import draw
from conveyor.components.model_card.pictures import Album

_TEXTS = {"title": "T", "caption": "C."}


def _draw(plot):
    return draw({**_TEXTS, **plot}, pathlib.Path(), Album(24))


def _lines(series, points=3, **more):
    xs = [i / max(1, points - 1) for i in range(points)]
    return {
        "kind": "lines",
        "x": "recall",
        "y": "precision",
        "series": [{"name": f"class {i}", "x": xs, "y": xs} for i in range(series)],
        **more,
    }


def _matrix(size):
    return {
        "kind": "matrix",
        "rows": "true",
        "columns": "predicted",
        "labels": [f"class {i}" for i in range(size)],
        "values": [[i + j for j in range(size)] for i in range(size)],
    }


def _bars(low):
    items = [{"name": f"class {i}", "value": 0.5, "low": low, "high": 0.6} for i in range(3)]
    return {"kind": "bars", "x": "value", "y": "class", "items": items}


def _ranges(*groups, x="pixels"):
    summaries = {f"group {i}": {"mean": 5.0, "quantiles": list(cuts)} for i, cuts in enumerate(groups)}
    return {"kind": "ranges", "x": x, "y": "split", "groups": summaries}


def _heatmap(*groups):
    counts = {f"group {i}": rows for i, rows in enumerate(groups)}
    return {"kind": "heatmap", "x": "left to right", "y": "bottom to top", "groups": counts}


@pytest.mark.parametrize(
    "plot",
    [
        _ranges(range(11)),
        _ranges(*[range(1, 12)] * 200),
        _ranges([1, 5, 9000]),
        _heatmap([[0, 1], [2, 0]], [[0, 0], [0, 0]]),
        {"kind": "counts", "x": "share", "y": "class", "shares": True, "groups": {"train": {"a": 0.25}}},
        _lines(1),
        _lines(1, points=1),
        _lines(10, points=500),
        _lines(60, domain=[[0, 1], [0, 0.5]]),
        _lines(2, whole=True, mark=2),
        _matrix(3),
        _matrix(25),
        _matrix(200),
        _bars(0.4),
        _bars(None),
        {"kind": "counts", "x": "examples", "y": "class", "groups": {"train": {"a": 1}, "test": {"b": 2}}},
    ],
)
def test_a_chart_is_valid_vega_lite(plot):
    spec = json.loads(_draw(plot).spec)
    assert spec["description"] == "Chart: T"
    assert set(spec.pop("datasets")) <= {"rows", "mark"}
    altair.Chart.from_dict(spec, validate=True)


def _rows(figure):
    return json.loads(figure.spec)["datasets"]["rows"]


def test_ranges_cut_at_the_quantiles():
    figure = _draw(_ranges(range(10, 21)))
    (row,) = _rows(figure)
    assert row == {
        "name": "group 0",
        "low": 10,
        "outer_low": 11,
        "inner_low": 13,
        "median": 15,
        "inner_high": 17,
        "outer_high": 19,
        "high": 20,
        "mean": 5.0,
    }
    assert "Light bar: the middle 80% of all. Dark bar: the middle 40%." in figure.caption
    assert "middle 50%" in _draw(_ranges(range(5))).caption


@pytest.mark.parametrize(
    ("groups", "kind"),
    [([[1, 2, 49]], None), ([[1, 2, 50]], "log"), ([[1, 2, 3], [9, 20, 60]], "log"), ([[0, 2, 5000]], None)],
)
def test_a_wide_range_has_a_logarithmic_scale(groups, kind):
    figure = _draw(_ranges(*groups))
    scale = json.loads(figure.spec)["layer"][0]["encoding"]["x"]["scale"]
    assert scale.get("type") == kind
    assert ("logarithmic" in figure.caption) == (kind == "log")


def test_a_heat_map_has_its_places_where_they_were_counted():
    figure = _draw(_heatmap([[0, 4, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 10]]))
    assert [list(row.values()) for row in _rows(figure)] == [
        ["group 0", 0, 1, 4, 1.0],
        ["group 0", 1, 0, 1, 0.25],
        ["group 1", 1, 2, 10, 1.0],
    ]
    encoding = json.loads(figure.spec)["encoding"]
    assert encoding["x"]["scale"]["domain"] == [0, 1, 2]  # also columns in which nothing is
    assert encoding["y"]["scale"]["domain"] == [0, 1]


def test_long_lines_are_thinned_and_it_is_said():
    figure = _draw(_lines(1, points=1001))
    rows = _rows(figure)
    assert len(rows) == 200
    assert (rows[0]["x"], rows[-1]["x"]) == (0, 1)
    assert "thinned" in figure.caption
    assert "thinned" not in _draw(_lines(1, points=200)).caption


def test_lines_beyond_what_can_be_drawn_are_counted():
    figure = _draw(_lines(60))
    assert len({row["series"] for row in _rows(figure)}) == 40
    assert "The first 40 of 60 lines are shown." in figure.caption


@pytest.mark.parametrize(
    ("epochs", "ticks"),
    [(1, [1]), (3, [1, 2, 3]), (13, [1, 2, 4, 6, 8, 10, 12]), (100, [1, *range(10, 101, 10)])],
)
def test_epochs_are_marked_at_whole_numbers(epochs, ticks):
    spec = json.loads(_draw(_lines(2, points=epochs, whole=True)).spec)
    assert spec["layer"][0]["encoding"]["x"]["axis"]["values"] == ticks


def test_what_is_not_finite_is_a_gap():
    plot = _lines(1)
    plot["series"][0]["y"] = [math.nan, math.inf, 0.123456789]
    assert [row["y"] for row in _rows(_draw(plot))] == [None, None, 0.123457]


def test_a_small_matrix_keeps_zeros_and_a_large_one_its_largest_counts():
    assert len(_rows(_draw(_matrix(3)))) == 9
    figure = _draw(_matrix(200))
    rows = _rows(figure)
    assert len(rows) == 2500
    assert max(row["count"] for row in rows) == 398
    assert "smallest counts are left out" in figure.caption


def test_shares_are_of_the_row():
    plot = _matrix(2) | {"values": [[3, 1], [0, 0]]}
    assert [row["share"] for row in _rows(_draw(plot))] == [0.75, 0.25, 0, 0]


def test_an_unknown_kind_is_shown_as_it_is():
    figure = _draw({"kind": "hologram", "depth": 3})
    assert '"depth": 3' in figure.block
    assert "no drawing for a plot of the kind 'hologram'" in figure.caption


@pytest.mark.parametrize(
    "plot",
    [
        {"kind": "lines"},
        {"kind": "matrix", "labels": 3},
        {"kind": "gallery", "items": [{}]},
        {"kind": "ranges", "x": "", "y": "", "groups": {}},
        {"kind": "heatmap", "groups": {}},
        {},
    ],
)
def test_a_plot_that_lacks_something_is_shown_as_it_is(plot):
    figure = _draw(plot)
    assert figure.block
    assert "here is its content" in figure.caption


def test_a_very_long_block_is_cut_off():
    block = _draw({"kind": "hologram", "points": list(range(9000))}).block
    assert len(block) < 21_000
    assert "more characters" in block


def _decode(picture):
    kind, _, text = picture["src"].partition(";base64,")
    return kind, PIL.Image.open(io.BytesIO(base64.b64decode(text)))


def _album(tmp_path, *files, **limits):
    album = Album(**{"limit": 24, **limits})
    return album.load([{"file": file, "caption": file} for file in files], tmp_path)


def test_small_pictures_are_lossless_and_enlarged(tmp_path):
    image = PIL.Image.radial_gradient("L").resize((8, 8))
    image.save(tmp_path / "a.png")
    (picture,), left = _album(tmp_path, "a.png")
    kind, shown = _decode(picture)
    assert kind == "data:image/png"
    assert shown.tobytes() == image.tobytes()
    assert (picture["width"], picture["small"], left) == (128, True, 0)


def test_large_pictures_are_shrunk_and_say_nothing_of_their_origin(tmp_path):
    image = PIL.Image.radial_gradient("L").resize((900, 600)).convert("RGB")
    image.save(tmp_path / "a.jpg", comment=b"camera of somebody")
    (picture,), _ = _album(tmp_path, "a.jpg")
    kind, shown = _decode(picture)
    assert (kind, shown.size, picture["small"]) == ("data:image/jpeg", (256, 171), False)
    assert b"somebody" not in base64.b64decode(picture["src"].partition(",")[2])


def test_two_pictures_side_by_side_keep_the_size_of_one(tmp_path):
    PIL.Image.new("RGB", (1600, 600)).save(tmp_path / "a.jpg")
    (picture,), _ = _album(tmp_path, "a.jpg")
    assert _decode(picture)[1].size == (512, 192)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_can_be_shown(tmp_path, mode):
    PIL.Image.new(mode, (100, 50)).save(tmp_path / "a.tif")
    (picture,), _ = _album(tmp_path, "a.tif")
    assert _decode(picture)[1].mode in ("L", "RGB")


def test_sixteen_bits_keep_their_range(tmp_path):
    PIL.Image.new("I;16", (8, 8), 65535).save(tmp_path / "a.png")
    (picture,), _ = _album(tmp_path, "a.png")
    assert _decode(picture)[1].getextrema() == (255, 255)


def test_what_cannot_be_read_has_an_empty_place(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    PIL.Image.new("L", (8, 8)).save(tmp_path.parent / "outside.png")
    pictures, left = _album(tmp_path, "text.png", "absent.png", "../outside.png", str(tmp_path), "a\0b")
    assert [picture["src"] for picture in pictures] == [""] * 5
    assert left == 0


def test_galleries_stay_within_their_limits(tmp_path):
    PIL.Image.effect_noise((256, 256), 90).save(tmp_path / "a.png")
    assert _album(tmp_path, *["a.png"] * 5, limit=2)[1] == 3
    pictures, left = _album(tmp_path, *["a.png"] * 5, max_bytes=100_000)
    assert len(pictures) + left == 5
    assert 0 < sum(len(picture["src"]) for picture in pictures) <= 100_000
    assert left > 0


def test_bands_are_drawn_behind_their_lines():
    plot = _lines(2)
    for series in plot["series"]:
        series |= {"low": [0.0, 0.4, 0.9], "high": [0.1, 0.6, 1.0]}
    spec = json.loads(_draw(plot).spec)
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["area", "line", "point"]
    band = spec["layer"][0]["encoding"]
    assert (band["y"]["field"], band["y2"]["field"]) == ("low", "high")
    assert spec["datasets"]["rows"][1] == {
        "series": "class 0",
        "i": 1,
        "x": 0.5,
        "y": 0.5,
        "low": 0.4,
        "high": 0.6,
    }
    without = json.loads(_draw(_lines(2)).spec)
    assert [layer["mark"]["type"] for layer in without["layer"]] == ["line", "point"]
