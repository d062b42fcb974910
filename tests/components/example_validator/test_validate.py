"""The stage: all checks together, and what the gate says."""

import copy
import json
import sys
import types

import pytest
from documents import split, statistics

from conveyor.components.artifacts import Anomalies, Examples, Schema, Statistics
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.example_validator.stage import example_validator
from conveyor.components.schema_gen.infer import infer_schema
from conveyor.components.schema_gen.text import to_text
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.config import parse_config
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context


def rows(count):
    rest = {"field": "", "reason": "truncated", "detail": "of it", "action": "set_aside"}
    return [{"file": f"cat/{number}.png", **rest} for number in range(count)]


@pytest.fixture
def judge(tmp_path):
    """Runs the stage, without a look for leaks unless told; returns its output."""
    kinds = {"examples": Examples, "statistics": Statistics, "schema": Schema, "anomalies": Anomalies}
    artifacts = {name: kind(tmp_path / name) for name, kind in kinds.items()}
    for artifact in artifacts.values():
        artifact.path.mkdir()

    def judge(document, quarantine=(), read=100, *, schema=None, before=None, **settings):
        lines = [json.dumps(row) + "\n" for row in quarantine]
        artifacts["examples"].quarantine_file.write_text("".join(lines), encoding="utf-8")
        artifacts["examples"].properties.update(read=read, annotations=["label"], classes=["cat", "dog"])
        artifacts["statistics"].write(document)
        text = to_text(infer_schema(document)) if schema is None else schema
        artifacts["schema"].file.write_text(text, encoding="utf-8")
        context = Context()
        if before:
            baseline = Statistics(tmp_path / "before")
            baseline.path.mkdir()
            baseline.write(before)
            seal(baseline, {})
            context.baseline = str(baseline.path)
        chosen = ExampleValidatorSettings(**{"leaks": "off", **settings})
        example_validator(**artifacts, settings=chosen, context=context)
        return artifacts["anomalies"]

    return judge


def test_clean_data_pass(judge):
    anomalies = judge(statistics())
    assert anomalies.read() == []
    assert anomalies.properties == {"summary": {"anomalies": 0}}
    assert [path.name for path in anomalies.path.iterdir()] == ["anomalies.json"]


def test_warnings_pass(judge):
    found = judge(statistics(test=split(brightness=(200, 220))), rows(1))
    assert [(one["kind"], one["severity"]) for one in found.read()] == [
        ("truncated", "warning"),
        ("skew", "warning"),
    ]
    assert found.properties == {"summary": {"anomalies": 2}}


def test_errors_close_the_gate_and_come_first(judge):
    document = statistics(train=split(dog=0), validation=split(cat=0))
    before = copy.deepcopy(document)
    anomalies = judge(document, rows(3))
    assert document == before
    severities = [one["severity"] for one in anomalies.read()]
    assert severities == sorted(severities)
    gate = anomalies.properties["gate"]
    assert gate["reason"].startswith("the data did not pass: 3 of 100 files were set aside")
    assert "3.00% in all, and data.max_quarantine is 1.00%" in gate["reason"]
    assert "class 'dog'" in gate["reason"]
    assert "class 'cat'" not in gate["reason"], "that is a warning"
    assert gate["fix"]


def test_the_gate_is_one_readable_message(judge):
    names = [f"{'long ' * 50}{number}" for number in range(40)]
    anomalies = judge(statistics(), required_splits=names)
    reason = anomalies.properties["gate"]["reason"]
    assert reason.count("holds no example") <= 8
    assert reason.endswith("; and 32 more errors")
    assert len(reason) < 8 * 310 + 100


def test_severities_of_skew(judge):
    document = statistics(test=split(brightness=(200, 220)))
    assert "gate" in judge(document, skew="error").properties
    assert judge(document, skew="off").read()[:] == []


@pytest.mark.parametrize(("drift", "kinds"), [("warning", ["drift"]), ("error", ["drift"]), ("off", [])])
def test_drift(judge, drift, kinds):
    everywhere = dict.fromkeys(("train", "validation", "test"), split(brightness=(200, 220)))
    found = judge(everywhere, before=statistics(), drift=drift)
    assert [one["kind"] for one in found.read()] == kinds
    assert ("gate" in found.properties) == (drift == "error")


def test_off_as_yaml_reads_it():
    assert parse_config("skew: off", "my.yaml", ExampleValidatorSettings, ["drift=off"]).skew == "off"
    with pytest.raises(UserError):
        parse_config("skew: on", "my.yaml", ExampleValidatorSettings, [])


def test_needs(judge):
    assert "needs mask" in judge(statistics(), needs=["label", "mask"]).properties["gate"]["reason"]


def test_a_schema_that_is_broken(judge):
    with pytest.raises(UserError, match="'widht'") as caught:
        judge(statistics(), schema="\nfeature { name: 'widht' }")
    assert caught.value.where.endswith("schema.pbtxt:2")


def fake(monkeypatch, name, function):
    module = types.ModuleType(name)
    setattr(module, function.__name__, function)
    monkeypatch.setitem(sys.modules, name, module)


ONE = {
    "kind": "x",
    "severity": "warning",
    "split": "",
    "short": "s",
    "long": "l",
    "examples": [],
    "pictures": [],
}


def test_leaks_and_label_errors_are_looked_for_where_told(judge, monkeypatch):
    def find_leaks(examples, severity, pictures):
        return [{**ONE, "kind": f"leak of {pictures.parent.name}", "severity": severity}]

    def find_label_errors(examples, pictures):
        return [{**ONE, "kind": f"label_error of {pictures.name}"}]

    fake(monkeypatch, "conveyor.components.example_validator.duplicates", find_leaks)
    fake(monkeypatch, "conveyor.components.label_errors.find", find_label_errors)
    assert judge(statistics()).read() == []
    found = judge(statistics(), leaks="error", label_errors=True)
    assert [one["kind"] for one in found.read()] == ["leak of anomalies", "label_error of pictures"]
    assert "gate" in found.properties
