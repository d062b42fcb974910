import os

import pytest

from conveyor.cli.history import chosen_settings


@pytest.fixture
def ask(call, history):
    return lambda *words: call(*words, "--workspace", history.root)


@pytest.fixture
def ask_json(call_json, history):
    return lambda *words: call_json(*words, "--workspace", history.root)


# === runs ===


def test_runs_newest_first(ask_json, history):
    code, runs = ask_json("runs")
    assert code == 0
    assert [run["name"] for run in runs] == [
        history.newer.name,
        history.older.name,
        "19990101-000000-cut-short",
    ]
    assert runs[0]["summary"]["metrics"]["accuracy"]["value"] == 0.85
    assert runs[2]["summary"] is None


def test_runs_as_a_table(ask, history):
    code, out, _ = ask("runs")
    assert code == 0
    newer, older, cut = [line for line in out.splitlines() if "-c" in line or "-digits" in line]
    assert newer.startswith(history.newer.name)
    assert "3/3 done, 1 cached" in newer
    assert "no " in newer
    assert "accuracy 0.8500 [0.8400, 0.8600]" in newer
    assert "average_precision" not in out
    assert "yes" in older
    assert "not finished" in cut


def test_no_runs_yet(call, call_json, tmp_path):
    from conveyor.pipeline.workspace import Workspace

    Workspace(tmp_path)
    assert call("runs", "--workspace", tmp_path)[:2] == (0, "no runs yet\n")
    assert call_json("runs", "--workspace", tmp_path) == (0, [])


@pytest.mark.parametrize("words", [["runs"], ["show", "latest"], ["lineage", "abcd"]])
def test_no_workspace_is_made_by_looking(call, tmp_path, words):
    code, out, err = call(*words, "--workspace", tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "there is no workspace here" in err
    assert os.listdir(tmp_path) == []


def test_a_broken_database_is_told(call, tmp_path):
    (tmp_path / "metadata.sqlite").write_text("this is no database, whatever its name says " * 50)
    code, _, err = call("runs", "--workspace", tmp_path)
    assert code == 2
    assert "file is not a database" in err


# === show ===


@pytest.mark.parametrize("name", ["latest", "whole", "beginning"])
def test_show_one(ask, ask_json, history, name):
    name = {"whole": history.newer.name, "beginning": history.newer.name[:-1]}.get(name, name)
    code, summary = ask_json("show", name)
    assert code == 0  # though a gate stopped the run that is shown
    assert summary["run"] == history.newer.name
    assert summary["error"]["exit_code"] == 3
    code, out, _ = ask("show", name)
    assert code == 0
    assert "average_precision/one" in out
    assert "not blessed" in out


def test_show_a_run_that_was_cut_short(ask, ask_json):
    code, summary = ask_json("show", "1999")
    assert code == 0
    assert (summary["stages"], summary["started"]) == ([], 0)
    assert ask("show", "1999")[0] == 0


def test_compare(ask, ask_json, history):
    code, document = ask_json("show", history.older.name, "latest")
    assert code == 0
    assert [run["run"] for run in document["runs"]] == [history.older.name, history.newer.name]
    assert document["settings"] == {"trainer.epochs": [3, 5]}
    code, out, _ = ask("show", history.older.name, "latest")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "accuracy 0.9500 [0.9400, 0.9600] 0.8500 [0.8400, 0.8600]" in lines
    assert "example_gen 1.5 s cached" in lines
    assert "blessed yes no" in lines
    assert "trainer.epochs 3 5" in lines


def test_compare_with_a_run_that_was_cut_short(ask_json):
    code, document = ask_json("show", "latest", "1999")
    assert code == 0
    assert document["settings"]["seed"] == [0, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2", "2 runs begin with '2'"),
        ("19990101-000000-cut-shrot", "did you mean '19990101-000000-cut-short'?"),
        ("zzz", "one of: 19990101"),
        ("", "there is no run ''"),
    ],
)
def test_show_of_no_one_run(ask, name, message):
    code, out, err = ask("show", name)
    assert (code, out) == (2, "")
    assert message in err


# === lineage ===


def test_lineage_records(ask_json, history):
    code, records = ask_json("lineage", history.newer.card.digest[:6])
    assert code == 0
    assert [record["stage"] for record in records] == ["model_card", "trainer", "example_gen"]
    assert records[0]["outputs"] == {"modelcard": history.newer.card.digest}
    assert records[1]["settings"]["fit"]["epochs"] == 5
    assert records[1]["inputs"] == {"examples": history.newer.examples.digest}


def test_lineage_tree(ask, history):
    code, out, _ = ask("lineage", history.newer.card.digest.upper())
    assert code == 0
    card, model, examples = (
        getattr(history.newer, name).digest[:8] for name in ("card", "model", "examples")
    )
    lines = [line.strip("│├└─ ") for line in out.splitlines()]
    assert lines[0] == f"model_card -> modelcard {card}"
    assert f"example_gen -> examples {examples}" in lines
    assert f"trainer -> model {model}" in lines
    assert f"examples {examples} of example_gen, told elsewhere in this tree" in lines
    assert "fit.epochs: 5" in lines
    assert "fit.note: [red]x[/red]" in lines
    assert f"1.5 s, {out.split('1.5 s, ')[1][:16]}, run {history.newer.name}" in lines


@pytest.mark.parametrize("inside", ["", "content.txt"])
def test_lineage_of_a_path_knows_its_workspace(call_json, history, inside, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, records = call_json("lineage", history.older.model.path / inside)
    assert code == 0
    assert [record["stage"] for record in records] == ["trainer", "example_gen"]


@pytest.mark.parametrize(
    ("artifact", "message"),
    [
        ("abc", "'abc' is too short"),
        ("zzzzzz", "there is no artifact 'zzzzzz'"),
        ("%%%%", "there is no artifact '%%%%'"),
    ],
)
def test_lineage_of_no_artifact(ask, artifact, message):
    code, out, err = ask("lineage", artifact)
    assert (code, out) == (2, "")
    assert message in err


def test_lineage_of_a_misspelt_digest(ask, history):
    digest = history.newer.model.digest
    _, _, err = ask("lineage", digest[:10] + "zz")
    assert f"did you mean '{digest[:12]}'?" in err


def test_lineage_of_several_artifacts(ask, history):
    with history.store._transaction() as db:
        db.executemany("INSERT INTO artifacts VALUES (?, 'Model', '', 0)", [("feed00aa",), ("feed00bb",)])
    code, _, err = ask("lineage", "feed00")
    assert code == 2
    assert "2 artifacts begin with 'feed00'" in err
    assert "feed00bb (Model)" in err


def test_lineage_of_an_artifact_nothing_is_known_of(ask, ask_json, history):
    with history.store._transaction() as db:
        db.execute("INSERT INTO artifacts VALUES ('feed00aa', 'Model', '', 0)")
    assert ask("lineage", "feed")[:2] == (0, "nothing is recorded of how it was made\n")
    assert ask_json("lineage", "feed") == (0, [])


# === settings ===


def test_settings_of_an_unknown_stage_are_all_told():
    assert chosen_settings("no_such_stage", {"a": {"b": 1}}) == {"a.b": 1}
    assert chosen_settings("not a name", {"a": 1}) == {"a": 1}


def test_only_settings_that_differ_are_told(monkeypatch):
    import sys
    import types
    import typing

    from conveyor.pipeline.config import Settings

    class Inner(Settings):
        kind: typing.Literal["inner"] = "inner"
        padding: typing.Literal["same", "valid"] = "same"
        rate: float = 0.1
        names: tuple[str, ...] = ("x",)

    class Outer(Settings):
        needed: str
        inner: Inner = Inner()
        required: Inner
        usual: Inner = Inner()
        seed: int = 0

    module = types.SimpleNamespace(trainer=types.SimpleNamespace(settings_type=Outer))
    monkeypatch.setitem(sys.modules, "conveyor.components.trainer.stage", module)
    settings = Outer(needed="a", inner={"rate": 0.2}, required={}).model_dump(mode="json")
    assert chosen_settings("trainer", settings) == {
        "needed": "a",
        "inner.kind": "inner",
        "inner.rate": 0.2,
        "required.kind": "inner",
    }
