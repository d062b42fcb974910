"""The contract of a model is read whoever wrote it."""

import json

import pytest

from conveyor.components.artifacts import CONTRACT
from conveyor.components.contract import read_contract
from conveyor.pipeline.errors import UserError


def write(folder, text):
    path = folder / CONTRACT
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")


def test_it_is_read(tmp_path):
    document = {"classes": ["a"], "thresholds": {"anomaly_score": 0.25}, "input": {"height": 3}}
    write(tmp_path, json.dumps(document))
    assert read_contract(tmp_path) == document


def test_a_model_of_others_has_none(tmp_path):
    assert read_contract(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"input": 3}',
        '{"thresholds": [1]}',
        '{"thresholds": {"anomaly_score": "high"}}',
        '{"thresholds": {"anomaly_score": true}}',
        '{"thresholds": {"anomaly_score": NaN}}',
    ],
)
def test_what_is_none_is_told(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(UserError, match="contract cannot be read"):
        read_contract(tmp_path)
