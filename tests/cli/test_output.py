import io
import json
import math

import pytest

from conveyor.cli.output import Output, json_text, printable
from conveyor.cli.tables import (
    flatten,
    headline_metrics,
    interval,
    metrics_tables,
    short,
    stage_outcome,
    table,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – text\n", "plain – text\n"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("[bold]", "[bold]"),
        ("\udcff", "\\udcff"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown


class _Array:
    def tolist(self):
        return [1.0, math.inf]


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ({"a": math.nan, "b": [math.inf, (1, 2)]}, {"a": None, "b": [None, [1, 2]]}),
        ({"a": _Array()}, {"a": [1.0, None]}),
        ([{"p": io.StringIO}], [{"p": str(io.StringIO)}]),
    ],
)
def test_json_text_is_json(document, read):
    assert json.loads(json_text(document), parse_constant=pytest.fail) == read


def test_a_table_is_not_cut_without_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    long = "[bold]" + "x" * 500
    Output(stream).show(table(["name", "value"], [["a", long], ["b", "\x1b[31m"]]))
    assert long in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "\\x1b[31m" in stream.getvalue()
    assert not any(line != line.rstrip() for line in stream.getvalue().splitlines())


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_table_fits_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = _Terminal()
    output = Output(stream)
    output.show(table(["name", "value"], [["n" * 20, "x " * 50]], whole=["name"]))
    output.show("after")
    lines = stream.getvalue().splitlines()
    assert "\x1b[1m" in lines[0]
    assert all(len(line) <= 40 for line in lines[1:])
    assert lines[2].startswith("n" * 20)
    assert lines[-2:] == ["", "after"]


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ({"value": 0.5, "low": 0.25, "high": 0.75}, "0.5000 [0.2500, 0.7500]"),
        ({"value": 0.5, "low": None, "high": None}, "0.5000"),
        ({"value": None}, "–"),
        (None, "–"),
    ],
)
def test_interval(metric, text):
    assert interval(metric) == text


def test_headline_metrics_leave_out_single_classes():
    metrics = {name: {"value": 0.5} for name in ("iou/cat", "a", "b", "c", "d")}
    assert headline_metrics(metrics) == "a 0.5000  b 0.5000  c 0.5000"
    assert headline_metrics({}) == "–"


def test_many_classes_are_counted():
    metrics = {f"iou/{number}": {"value": 0.5} for number in range(25)}
    assert list(metrics_tables([metrics], ["value"]))[1] == "… and 5 more: --json shows all"
    assert list(metrics_tables([{}], ["value"])) == []


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ({"status": "done", "cached": True, "seconds": 0.1}, "cached"),
        ({"status": "done", "cached": False, "seconds": 12.34}, "12.3 s"),
        ({"status": "done", "cached": False, "seconds": 2.0, "notes": ["3% waited"]}, "2.0 s, 3% waited"),
        ({"status": "blocked"}, "blocked"),
        (None, "–"),
    ],
)
def test_stage_outcome(stage, text):
    assert stage_outcome(stage) == text


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [{"e": 2}]}) == {"a.b": 1, "a.c": {}, "d": [{"e": 2}]}
    assert flatten({}) == {}


def test_short():
    assert short([1, "a"]) == '[1, "a"]'
    assert short("x" * 100) == "x" * 59 + "…"
