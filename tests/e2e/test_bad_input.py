"""What a user does wrong: one clear message, the right exit code, nothing published."""

import json

import numpy as np
import PIL.Image
import pytest


def make_folder(path, classes=("cat", "dog"), each=20, seed=0):
    """Writes small noisy images, brighter for later classes, in class folders."""
    generator = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (path / name).mkdir(parents=True)
        for index in range(each):
            pixels = generator.integers(0, 100, (16, 16)) + 100 * number
            PIL.Image.fromarray(pixels.astype(np.uint8)).save(path / name / f"{index}.png")
    return path


SMALL = (
    "model={family: linear}",
    "trainer.epochs=1",
    "evaluator.bootstrap=20",
    "evaluator.bless=null",
    "data.splits={train: 0.5, validation: 0.2, test: 0.3}",
)


@pytest.mark.slow
def test_a_bad_file_is_set_aside_and_told(conveyor, tmp_path):
    folder = make_folder(tmp_path / "data", each=60)
    good = (folder / "cat" / "0.png").read_bytes()
    (folder / "cat" / "cut.png").write_bytes(good[: len(good) // 2])
    summary = conveyor.run("digits_cnn", f"data.source=folder:{folder}", *SMALL)
    assert (summary["quarantined"], summary["anomalies"]) == (1, 1)
    (quarantine,) = conveyor.workspace.glob("artifacts/Examples/*/quarantine.jsonl")
    row = json.loads(quarantine.read_text())
    assert (row["file"], row["reason"]) == ("cat/cut.png", "truncated")
    (card,) = conveyor.workspace.glob("artifacts/ModelCard/*/model_card.html")
    assert "cat/cut.png" in card.read_text()


def test_too_many_bad_files_end_the_run(conveyor, tmp_path):
    folder = make_folder(tmp_path / "data", each=60)
    for index in range(2):  # 2 of 122 files are 1.6%
        (folder / "cat" / f"bad{index}.png").write_bytes(b"no image")
    source = f"data.source=folder:{folder}"
    summary = conveyor.run("digits_cnn", source, *SMALL, code=3, extra=["--until", "transform"])
    assert "1.64%" in summary["error"]["what"]
    assert {s["name"]: s["status"] for s in summary["stages"]}["transform"] == "blocked"
    allowed = conveyor.run(
        "digits_cnn", source, *SMALL, "data.max_quarantine=0.02", extra=["--until", "example_validator"]
    )
    assert allowed["quarantined"] == 2


def _empty(path):
    path.mkdir()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "does not exist"),
        (_empty, "holds no images"),
    ],
)
def test_unusable_folders(conveyor, tmp_path, prepare, message):
    prepare(tmp_path / "data")
    options = ["-o", f"data.source=folder:{tmp_path / 'data'}"]
    done = conveyor("run", "digits_cnn", *options, code=2)
    assert message in done.stderr
    assert not conveyor.published()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.epoch=3", "epochs"),
        ("trainer.epochs=many", "trainer.epochs"),
        ("trainer.epochs", "key=value"),
        ("model.family=cn", "cnn"),
        ("data.source=floder:x", "folder"),
        ("model.filters=[8, 8, 8, 8, 8, 8]", "fewer blocks"),
    ],
)
def test_wrong_settings(conveyor, override, message):
    small = [part for option in ("trainer.epochs=1", override) for part in ("-o", option)]
    done = conveyor("run", "digits_cnn", *small, code=2)
    assert message in done.stderr


def test_one_class_stops(conveyor, tmp_path):
    make_folder(tmp_path / "data", classes=("cat",))
    source = f"data.source=folder:{tmp_path / 'data'}"
    summary = conveyor.run("digits_cnn", source, *SMALL, code=3, extra=["--until", "transform"])
    assert "nothing to tell apart" in summary["error"]["what"]
    assert {s["name"]: s["status"] for s in summary["stages"]}["transform"] == "blocked"


def test_a_split_without_a_class_warns_and_an_unknown_class_stops(conveyor, tmp_path):
    make_folder(tmp_path / "data" / "train", classes=("cat", "dog"))
    make_folder(tmp_path / "data" / "test", classes=("cat", "emu"), seed=1)
    source = f"data.source=folder:{tmp_path / 'data'}"
    summary = conveyor.run("digits_cnn", source, *SMALL, code=3, extra=["--until", "transform"])
    assert "'emu'" in summary["error"]["what"]
    (anomalies,) = conveyor.workspace.glob("artifacts/Anomalies/*/anomalies.json")
    found = {(a["kind"], a["severity"], a["split"]) for a in json.loads(anomalies.read_text())}
    assert ("unknown_class", "error", "test") in found
    assert ("missing_class", "warning", "test") in found


def test_unchanged_content_is_not_read_again(conveyor, tmp_path):
    folder = make_folder(tmp_path / "data")
    source = f"data.source=folder:{folder}"
    until = ["--until", "example_validator"]
    conveyor.run("digits_cnn", source, *SMALL, extra=until)
    for image in (folder / "cat").iterdir():
        image.touch()
    (folder / "notes.txt").write_text("unrelated")
    assert conveyor.executed(conveyor.run("digits_cnn", source, *SMALL, extra=until)) == []
    (folder / "cat" / "0.png").write_bytes((folder / "dog" / "0.png").read_bytes())
    assert "example_gen" in conveyor.executed(conveyor.run("digits_cnn", source, *SMALL, extra=until))
    (examples, *_) = sorted(
        conveyor.workspace.glob("artifacts/Examples/*"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    next((examples / "dataset").glob("*.tfrecord-*")).unlink()
    assert conveyor.executed(conveyor.run("digits_cnn", source, *SMALL, extra=until)) == ["example_gen"]


def test_workspace_below_a_file(conveyor, tmp_path):
    (tmp_path / "file").write_text("")
    done = conveyor("run", "digits_cnn", "--workspace", tmp_path / "file" / "space", code=2)
    assert "workspace" in done.stderr
