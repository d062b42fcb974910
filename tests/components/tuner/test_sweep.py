import collections
import json
import pathlib

import pytest
from toy_run import ledger, ran

from conveyor.components.experiment import run
from conveyor.components.tuner.sweep import sweep
from conveyor.pipeline.errors import StageError, UserError
from conveyor.pipeline.metadata import MetadataStore

BASE = ["data.splits={train: 0.6, validation: 0.2, test: 0.2}", "evaluator.bless=null", "sweep.resamples=50"]
GRID = [*BASE, "sweep.sampler=grid"]
DROPOUT = "model.dropout={choice: [0.4, 0.1, 0.7]}"


def start(workspace, *dimensions, given=GRID, **options):
    return sweep("digits_cnn", given, dimensions, workspace=workspace, **options)


def test_the_best_on_validation_is_run_on_test_once(toys):
    document = start(toys, DROPOUT)
    winner, test = document["winner"], document["test"]
    assert winner["settings"] == {"model.dropout": 0.1}
    assert winner["overrides"] == ["model.dropout=0.1"]
    assert winner["yaml"] == "model: {dropout: 0.1}\n"
    assert winner["low"] < winner["value"] < winner["high"]
    assert winner["corrected"] == winner["value"] - winner["optimism"]
    assert test["summary"]["metrics"]["accuracy"]["value"] == pytest.approx(0.85, abs=0.07)
    assert (test["split"], test["looks_before"]) == ("test", 0)
    counts = collections.Counter(ran(toys))
    assert counts["example_gen"] == 1
    assert counts["evaluator validation"] == 3
    assert counts["evaluator test"] == 1
    assert counts["trainer 0.1 0"] == 1  # the winner is not trained again
    assert document["models_seen"] == 3
    json.dumps(document, allow_nan=False)
    told = MetadataStore(toys / "metadata.sqlite").runs()[0]["settings"]["model_card"]["chosen"]
    assert told == {
        "sweep": document["sweep"],
        "candidates": 3,
        "metric": document["metric"],
        "split": "validation",
        **{name: pytest.approx(winner[name]) for name in ("value", "optimism", "corrected")},
    }


def test_the_ledger_tells_of_every_candidate(toys):
    document = start(toys, DROPOUT, test=False)
    rows = ledger(document)
    assert [row["settings"] for row in rows] == [{"model.dropout": value} for value in (0.4, 0.1, 0.7)]
    assert [row["values"][0] for row in rows] == [row["value"] for row in document["candidates"]]
    assert all(row["parameters"] == 1000 and len(row["runs"]) == 1 for row in rows)
    saved = pathlib.Path(document["ledger"]).with_name("sweep.json")
    assert json.loads(saved.read_text()) == document


def test_the_test_split_can_stay_unseen(toys):
    assert start(toys, DROPOUT, test=False)["test"] is None
    assert "evaluator test" not in ran(toys)


def test_earlier_looks_at_the_test_split_are_told(toys):
    run("digits_cnn", [*GRID, "model.dropout=0.2"], workspace=toys)
    assert start(toys, DROPOUT)["test"]["looks_before"] == 1
    assert start(toys, DROPOUT)["test"]["looks_before"] == 1  # the same winner: no new look
    assert start(toys, "model.dropout={choice: [0.05, 0.6]}")["test"]["looks_before"] == 2


def test_all_models_of_these_data_count_as_candidates(toys):
    run("digits_cnn", [*GRID, "model.dropout=0.2"], workspace=toys)
    other = [
        "data.splits={train: 0.6, validation: 0.4, test: 0}",
        "evaluator.bless=null",
        "evaluator.split=validation",
    ]
    run("digits_cnn", [*other, "model.dropout=0.2"], workspace=toys)  # not the same examples
    assert start(toys, DROPOUT, test=False)["models_seen"] == 4
    assert start(toys, DROPOUT, test=False)["models_seen"] == 4
    assert start(toys, "model.dropout={choice: [0.1, 0.3]}", test=False)["models_seen"] == 5


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_cut_short_it_goes_on_to_the_same_result(toys, tmp_path, monkeypatch, sampler):
    if sampler == "tpe":
        pytest.importorskip("optuna")
    given = [*BASE, f"sweep.sampler={sampler}"]
    options = {"given": given, "trials": 3, "test": False}
    whole = start(tmp_path / "whole", DROPOUT, **options)
    third = whole["candidates"][2]["settings"]["model.dropout"]
    monkeypatch.setenv("TOY_INTERRUPT", str(third))
    with pytest.raises(KeyboardInterrupt):
        start(toys, DROPOUT, **options)
    (left,) = (toys / "sweeps").glob("*/ledger.jsonl")
    assert [json.loads(line)["number"] for line in left.read_text().splitlines()] == [1, 2]
    monkeypatch.delenv("TOY_INTERRUPT")
    again = start(toys, DROPOUT, **options)
    assert again["winner"] == whole["winner"]
    assert [row["value"] for row in again["candidates"]] == [row["value"] for row in whole["candidates"]]
    counts = collections.Counter(line for line in ran(toys) if line.startswith("trainer"))
    assert sorted(counts.values()) == [1, 1, 2]
    assert pathlib.Path(again["ledger"]) == left


def test_more_trials_are_the_same_sweep(toys):
    first = start(toys, DROPOUT, trials=2, test=False)
    second = start(toys, DROPOUT, test=False)
    assert (first["sweep"], len(first["candidates"]), len(second["candidates"])) == (second["sweep"], 2, 3)
    assert start(toys, "model.dropout={choice: [0.4, 0.1]}", test=False)["sweep"] != first["sweep"]


def test_a_candidate_whose_training_fails_is_told_and_passed_over(toys):
    told = []
    document = start(toys, "model.dropout={choice: [0.9, 0.3]}", test=False, tell=told.append)
    failed = document["candidates"][0]
    assert "diverged" in failed["error"]
    assert (failed["value"], failed["values"]) == (None, [])
    assert document["winner"]["number"] == 2
    assert "diverged" in told[0]


def test_values_that_do_not_go_together_fail_as_a_candidate(toys):
    space = [
        "trainer.class_weights={choice: [none, balanced]}",
        "trainer.sampling={choice: [none, balanced]}",
    ]
    document = start(toys, *space, given=[*GRID, "model.dropout=0.1"], test=False)
    assert [bool(row["error"]) for row in document["candidates"]] == [False, False, False, True]
    assert document["winner"]["number"] == 1  # of equals the first


def test_where_all_fail_that_is_an_error(toys):
    with pytest.raises(UserError, match="no candidate"):
        start(toys, "model.dropout={choice: [0.9, 0.85]}")


def test_a_bug_ends_the_sweep_with_its_traceback(toys):
    told = []
    with pytest.raises(StageError, match="a bug"):
        start(toys, "model.dropout={choice: [0.75, 0.1]}", tell=told.append)
    assert "Traceback" in told[-1]


def test_each_candidate_is_trained_from_several_seeds(toys):
    document = start(toys, DROPOUT, given=[*GRID, "sweep.seeds=3", "seed=7"])
    best = document["candidates"][1]
    assert len(set(best["values"])) == 3
    assert best["value"] == pytest.approx(sum(best["values"]) / 3)
    trained = [line for line in ran(toys) if line.startswith("trainer")]
    assert trained[:3] == ["trainer 0.4 7", "trainer 0.4 8", "trainer 0.4 9"]
    assert len(trained) == 9
    assert document["models_seen"] == 9


def test_less_can_be_better(toys):
    given = [*GRID, "sweep.goal=minimize", "sweep.metric=ece"]
    document = start(toys, DROPOUT, given=given, test=False)
    winner = document["winner"]
    assert winner["settings"] == {"model.dropout": 0.1}
    assert winner["low"] <= winner["value"] <= winner["high"]
    assert winner["corrected"] >= winner["value"]


def test_a_threshold_stops_no_candidate_but_the_winner(toys):
    bless = "evaluator.bless={metric: accuracy, at_least: 0.99}"
    document = start(toys, DROPOUT, given=[*GRID, bless])
    assert all(row["value"] for row in document["candidates"])
    assert document["test"]["summary"]["error"]["exit_code"] == 3


def test_candidates_are_no_baseline_for_the_drift_of_later_data(toys):
    start(toys, DROPOUT, test=False)
    assert not list(MetadataStore(toys / "metadata.sqlite").past_runs("digits_cnn"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["sweep.metric=acuracy"], "accuracy"),
        (["sweep.metric=average_precision_macro"], "no value"),
        (["data.splits={train: 0.6, validation: 0, test: 0.4}"], "the data has none"),
        (["evaluator.split=validation"], "no-test"),
        (["model=null"], "no model"),
    ],
)
def test_what_cannot_be_swept(toys, given, message):
    with pytest.raises(UserError, match=message):
        start(toys, DROPOUT, given=[*GRID, *given])


def test_a_small_space_ends_early(toys):
    pytest.importorskip("optuna")
    told = []
    document = start(toys, DROPOUT, given=BASE, trials=30, test=False, tell=told.append)
    assert len(document["candidates"]) == 3
    assert "only 3 candidates" in told[-1]
