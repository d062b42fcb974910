"""Values as text."""

import math
import pathlib

import pytest

from conveyor.components.model_card.results import Results
from conveyor.components.model_card.sections import metrics_section
from conveyor.components.model_card.text import cell, clip, finite, last_parts, number, plural, shorten_paths


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (0.98765, "0.9877"),
        (31.25, "31.2500"),
        (0.00012345, "0.0001234"),
        (2.5e-7, "2.5e-07"),
        (123456.0, "1.235e+05"),
        (math.nan, "not a number"),
        (-math.inf, "-inf"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("relu", "relu"),
        ([None, 28, 28, 1], "any × 28 × 28 × 1"),
        ([], "–"),
        ([[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
        ({"a": 1}, '{"a": 1}'),
        (False, "no"),
    ],
)
def test_cell(value, text):
    assert cell(value) == text


def test_plural():
    assert [plural(count, "file") for count in (0, 1, 1234)] == ["0 files", "1 file", "1,234 files"]


def test_clip_keeps_both_ends_of_a_name():
    assert clip("a" * 300) == "a" * 300
    assert clip("folder/" * 99 + "7.png", 25) == "folder/fold … older/7.png"


def test_finite():
    assert finite({"a": [math.nan, 1 / 3, 5, "x", (math.inf,)]}) == {"a": [None, 0.333333, 5, "x", [None]]}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/w/s", "{workspace}"),
        ("/w/s/serving/digits", "{workspace}/serving/digits"),
        ("/w/sibling/a/b", "…/a/b"),
        ("folder:/w/s/pictures", "folder:{workspace}/pictures"),
        ("folder:/home/me/cats/train", "folder:…/cats/train"),
        ("gs://bucket/models/digits", "…/models/digits"),
        ("~/pictures/cats", "…/pictures/cats"),
        ("C:\\Users\\me\\cats", "…/me/cats"),
        ("pictures/cats", "pictures/cats"),
        ("tfds:mnist", "tfds:mnist"),
        ("{workspace}/serving", "{workspace}/serving"),
        ("a: b/c", "a: b/c"),
        (7, 7),
    ],
)
def test_shorten_paths(path, text):
    assert shorten_paths([{"to": path}], pathlib.PurePosixPath("/w/s")) == [{"to": text}]


def test_no_workspace_hides_nothing_but_the_start():
    assert shorten_paths("/a/b/c", pathlib.Path()) == "…/b/c"


def test_last_parts():
    assert [last_parts(path) for path in ("/a/b/c/", "c", "gs://x/y")] == ["b/c", "c", "x/y"]


def test_bars_share_a_scale_that_an_error_near_zero_does_not_stretch(run):
    groups = metrics_section(Results(**run.made))["groups"]
    head = {row["name"]: row["bar"] for row in groups[0]["rows"]}
    assert groups[0]["scale"] == [0.9, 1.0]
    assert next(iter(head)) == "average_precision_macro"
    assert (head["ece"], head["psnr"]) == (None, None)
    bar = head["accuracy"]
    assert bar["left"] == pytest.approx(0.796)
    assert bar["point"] == pytest.approx(0.871)
    assert bar["right"] == pytest.approx(0.935)
    by_class = {row["name"]: row for row in groups[1]["rows"]}
    assert by_class["rare/one"]["bar"] is None
    assert len(by_class) == 11


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, "other examples of the same kind"),
        ({"resampled": "examples", "units": 90}, "other examples of the same kind"),
        ({"resampled": "groups", "units": 1200}, "whole groups are drawn, of which there are 1,200"),
    ],
)
def test_what_an_interval_thinks_of(run, how, told):
    evaluation = run.made["evaluation"]
    evaluation.write(evaluation.read() | how)
    assert told in metrics_section(Results(**run.made))["drawn"]
