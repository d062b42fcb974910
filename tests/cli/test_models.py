"""The commands on models: predict, evaluate, model."""

import json

import pytest


def test_predict_prints_json_lines(fakes, call):
    code, out, _ = call("predict", "m", "a.png", "b [x].png", "--batch-size", "8")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["image"] for row in rows] == ["a.png", "b [x].png"]
    assert rows[0] == {"image": "a.png", "model": "m", "batch_size": 8, "scores": [0.25, None]}


def test_predict_prints_a_list(fakes, call_json):
    code, rows = call_json("predict", "m", "a.png", "b.png")
    assert code == 0
    assert [row["image"] for row in rows] == ["a.png", "b.png"]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_predict_of_an_image_that_cannot_be_read_goes_on(fakes, call, words):
    code, out, err = call("predict", "m", "absent.png", "b.png", *words)
    assert code == 2
    assert "cannot be read [x]" in out
    assert '"b.png"' in out
    assert "no prediction for 1 of the images" in err


def test_predict_keeps_what_it_printed_before_an_error(fakes, call):
    code, out, err = call("predict", "m", "a.png", "broken.png")
    assert code == 2
    assert json.loads(out)["image"] == "a.png"
    assert "cannot be decoded" in err


def test_predict_with_an_error_is_one_document(fakes, call_json):
    code, document = call_json("predict", "m", "a.png", "broken.png")
    assert code == 2
    assert document["error"]["where"] == "broken.png"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--workspace", "w"], ["m", "c", [], "w", None]),
        (["--workspace", "w", "--split", "train", "-o", "a=1"], ["m", "c", ["a=1"], "w", "train"]),
    ],
)
def test_evaluate_passes_its_arguments_on(fakes, call_json, words, asked):
    code, document = call_json("evaluate", "m", "c", *words)
    assert code == 0
    assert document["asked"] == asked


def test_evaluate_prints_a_table(fakes, call):
    code, out, _ = call("evaluate", "m", "c")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["split:", "test"] in lines
    assert ["examples:", "360"] in lines
    assert ["accuracy", "0.9900", "[0.9800,", "0.9950]"] in lines


def test_model_prints_a_layer_table(fakes, call):
    code, out, _ = call("model", "c")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "layer output parameters FLOPs" in lines, "a stride of 1 everywhere is not worth a column"
    assert "conv [c] ? × 32 × 32 × 64 18,496 –" in lines
    assert "dense ? × 10 1,290 2,580" in lines
    assert "parameters: 19,786" in lines
    assert "flops: 2,580" in lines
    assert any(
        "18,496 of the parameters; dense layers in their place would need 123,456." in line for line in lines
    )
    assert "FLOPs are not known of: odd" in lines
    assert lines[-1] == "A feature sees [18] px."


def test_model_gives_all_as_json(fakes, call_json):
    code, document = call_json("model", "c", "-o", "a=1", "--workspace", "w", "--draw", "f.svg")
    assert code == 0
    assert document["layers"][1]["FLOPs"] == 2580
    assert document["asked"] == [["a=1"], "w", "f.svg"]
    assert {"layers", "totals", "advice"} <= document.keys()


@pytest.mark.parametrize("how", ["name", "path"])
def test_rollback_by_name_or_path(call, call_json, tmp_path, monkeypatch, how):
    base = tmp_path / "workspace" / "serving" / "digits"
    for version in ("1", "2"):
        (base / version).mkdir(parents=True)
        (base / version / "saved_model.pb").write_text(version)
    monkeypatch.chdir(tmp_path)
    name = "digits" if how == "name" else str(base)
    code, out, _ = call("rollback", name, "--workspace", "workspace")
    assert (code, out.split(": ")[1].strip()) == (0, "version 1, in place of 2")
    assert (base / "3" / "saved_model.pb").read_text() == "1"
    code, document = call_json("rollback", name, "--workspace", "workspace", "--to", "7")
    assert code == 2
    assert document["error"]["received"] == "7"
