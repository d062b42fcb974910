import sys
import types

import pytest

from conveyor.pipeline.errors import UserError

METRIC = {"value": 0.98, "low": 0.97, "high": 0.99}


def candidate(number, value, error=""):
    known = {"value": value, "low": value and value - 0.01, "high": value and value + 0.01}
    settings = {"model": "[red]deep", "model.dropout": number / 10}
    values = [value] if value else []
    base = {"number": number, "settings": settings, "values": values, "parameters": 12345 if value else None}
    return {**base, "runs": ["r"], "error": error, **known}


def make(looks=0, goal="maximize", test=True, **summary):
    rows = [candidate(1, 0.95), candidate(2, None, "training diverged\n  fix: lower"), candidate(3, 0.98)]
    winner = {**rows[2], "optimism": 0.004, "corrected": 0.976, "yaml": "model: {dropout: 0.3}\n"}
    run = {"run": "20250101-x", "metrics": {"accuracy": METRIC}, **summary}
    return {
        "sweep": "digits_cnn-abc",
        "metric": "accuracy",
        "goal": goal,
        "candidates": rows,
        "winner": winner,
        "models_seen": 31,
        "ledger": "/w/ledger.jsonl",
        "test": {"split": "test", "looks_before": looks, "summary": run} if test else None,
    }


@pytest.fixture
def answer(monkeypatch):
    """Says what the sweep comes to; returns how it was called."""

    def answer(document):
        asked = {}

        def sweep(config, given, dimensions, *, tell, report, **options):
            asked.update(config=config, given=list(given), dimensions=dimensions, **options)
            tell("candidate 1 of 3")
            if isinstance(document, BaseException):
                raise document
            return document

        module = types.ModuleType("conveyor.components.tuner.sweep")
        module.sweep = sweep
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return asked

    return answer


def test_passes_its_arguments_on(answer, call_json, monkeypatch):
    monkeypatch.delenv("CONVEYOR_WORKSPACE", raising=False)
    asked = answer(make())
    words = [
        "-o",
        "seed=1",
        "-s",
        "model.dropout={uniform: [0, 0.5]}",
        "-s",
        "a={int: [1, 2]}",
        "--trials",
        7,
    ]
    code, document = call_json("sweep", "digits_cnn", *words, "--no-test")
    assert code == 0
    assert document == make()
    assert asked == {
        "config": "digits_cnn",
        "given": ["seed=1"],
        "dimensions": ["model.dropout={uniform: [0, 0.5]}", "a={int: [1, 2]}"],
        "workspace": "workspace",
        "trials": 7,
        "test": False,
    }


def test_shows_candidates_best_first_then_the_winner(answer, call):
    answer(make())
    code, out, err = call("sweep", "digits_cnn")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("1", "2", "3")] == ["3", "1", "2"]
    assert ["3", "[red]deep", "0.3", "12,345", "0.9800", "[0.9700,", "0.9900]"] in rows
    assert ["2", "[red]deep", "0.2", "–", "training", "diverged"] in rows
    assert ["corrected", "accuracy:", "0.9760"] in rows
    assert "31 of this workspace" in out
    assert out.rstrip().endswith("model: {dropout: 0.3}")
    assert "candidate 1 of 3" in err
    assert "looked" not in err


def test_less_can_be_better(answer, call):
    answer(make(goal="minimize"))
    rows = [line.split() for line in call("sweep", "digits_cnn")[1].splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("1", "2", "3")] == ["1", "3", "2"]


def test_warns_of_earlier_looks(answer, call):
    answer(make(looks=2))
    assert "looked at 2 times before" in call("sweep", "digits_cnn")[2]


def test_no_test(answer, call):
    answer(make(test=False))
    code, out, _ = call("sweep", "digits_cnn", "--no-test")
    assert code == 0
    assert "not looked at" in out


def test_a_gate_on_the_winner(answer, call):
    error = {"kind": "GateError", "what": "not blessed", "exit_code": 3}
    answer(make(error=error))
    code, out, err = call("sweep", "digits_cnn")
    assert code == 3
    assert "corrected accuracy" in out
    assert "conveyor: not blessed" in err


@pytest.mark.parametrize(("error", "code"), [(UserError("wrong space"), 2), (KeyboardInterrupt(), 130)])
def test_errors(answer, call, error, code):
    answer(error)
    assert call("sweep", "digits_cnn")[0] == code


@pytest.mark.parametrize("trials", ["0", "-1", "x", "1.5"])
def test_trials_is_a_number(answer, call, trials):
    code, _, err = call("sweep", "digits_cnn", f"--trials={trials}")
    assert code == 2
    assert "above 0" in err
