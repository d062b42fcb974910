"""Configs for data that was looked at: right, safe whatever names are in it, and never over another file."""

import json
import os
import pathlib

import pytest
import small_sources
import warm_cli
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_images import class_files, write_files

from conveyor.components.commands import survey as survey_module
from conveyor.components.commands.detect import FORMATS
from conveyor.components.commands.draft import draft
from conveyor.components.commands.new import new_config
from conveyor.components.commands.survey import Survey
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.components.experiment import Experiment, load_experiment
from conveyor.models.cnn.settings import CNNSettings
from conveyor.pipeline.config import parse_config
from conveyor.pipeline.errors import UserError

LABELLED = ("tfds", "tfrecord", "csv", "npz", "folder")
COMMANDS = ["conveyor run x.yaml --until example_validator", "conveyor run x.yaml"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def labelled(width=30, height=20, images=12, classes=2):
    found = Survey(examples=images, sizes=[(width, height)])
    found.labels.update({f"class {number}": images // classes for number in range(classes)})
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_config_for_each_format(tmp_path, name):
    document = new_config(str(getattr(small_sources, name)(tmp_path / "data")))
    assert document["config"] == "data.yaml"
    assert (document["format"], document["images"]) == (name, 12)
    experiment = load_experiment("data.yaml")
    assert experiment.data.source == document["source"]
    assert open_source(experiment.data.source).classes() == document["classes"]
    assert document["trains"] == (name in LABELLED)
    if name in LABELLED:
        assert isinstance(experiment.model, CNNSettings)
        assert experiment.transform.size == (20, 30)
    else:
        assert experiment.model is None
        assert "There is no `model`" in pathlib.Path("data.yaml").read_text()
    assert document["commands"][1] == "conveyor run data.yaml"


def test_comments_say_what_was_found(tmp_path):
    root = small_sources.masks(tmp_path / "outer" / "data")
    write_files(root, {"instances.json": small_sources.coco_json(), "images/extra.png": b""})
    document = new_config(str(root.parent), "x.yaml")
    text = pathlib.Path("x.yaml").read_text()
    for told in (
        "12 images of 30x20 pixels, 12 boxes (12 with outlines), 1 files that cannot be used",
        "Classes (2): cat, dog",
        "The data is in data, the only folder there",
        f"It can also be read as: masks:{root}",
        "Cannot be used: 1 missing_annotation",
        "conveyor run x.yaml --until example_validator",
    ):
        assert told in text
    assert all(note in text for note in document["notes"])


def test_a_class_of_one_image_is_told(tmp_path):
    root = small_sources.folder(tmp_path / "data")
    write_files(root, {"emu/1.png": small_sources.IMAGES["1.png"]})
    assert new_config(str(root))["notes"] == ["Add images to these classes, which have just one: emu."]


def test_counts_of_a_part_are_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_module, "MAX_EXAMPLES", 5)
    document = new_config(str(small_sources.coco(tmp_path / "data")))
    assert not document["complete"]
    assert "at least 5 images" in pathlib.Path("data.yaml").read_text()


# === hostile names


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a: b",
        "it's",
        'say "x"',
        "#1",
        "a\\b",
        "été 數據 😀",
        "tab\there",
        "line\nbreak",
        "{x}",
        "%20",
        "-f",
    ],
)
def test_paths_are_quoted(tmp_path, name):
    root = small_sources.folder(tmp_path / name)
    document = new_config(str(root))
    assert load_experiment(document["config"]).data.source == f"folder:{root}"
    assert pathlib.Path(document["config"]).name == document["config"]
    assert set(document["config"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.")
    assert not document["config"].startswith(("-", "."))


def test_a_path_that_is_no_text_is_refused(tmp_path):
    root = small_sources.folder(tmp_path / "bad\udcff")
    with pytest.raises(UserError, match="no config can name it"):
        new_config(str(root))
    assert not list(pathlib.Path().iterdir())


def test_names_of_classes_stay_in_the_comment(tmp_path):
    evil = "x\ndata: {source: evil}\x85pusher: {to: evil}\u2028y"
    root = write_files(tmp_path / "data", class_files((evil, "z" * 200)))
    document = new_config(str(root))
    text = pathlib.Path("data.yaml").read_text()
    assert yaml.safe_load(text)["data"]["source"] == f"folder:{root}"
    assert sum(not line.startswith((" ", "#")) for line in text.split("\n") if line) == 5
    assert "z" * 41 not in text
    assert evil in document["labels"]


@given(
    st.text(max_size=60),
    st.lists(st.text(max_size=60), min_size=2, max_size=12),
    st.lists(st.text(max_size=60)),
)
def test_no_text_changes_what_a_config_says(path, classes, notes):
    found = Survey(examples=10, sizes=[(30, 20)])
    found.labels.update(dict.fromkeys([*classes, "a", "b"], 5))
    found.splits.update(dict.fromkeys(classes, 5))
    text = draft(f"folder:{path}", classes, found, notes, COMMANDS)
    experiment = parse_config(text, "x.yaml", Experiment)
    assert experiment.data.source == f"folder:{path}"
    plain = parse_config(
        draft("folder:", ["a", "b"], labelled(images=10), [], COMMANDS), "x.yaml", Experiment
    )
    assert experiment.model_copy(update={"data": plain.data}) == plain


# === the model


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(1, 10_000_000), st.integers(2, 100))
def test_models_fit_their_images(width, height, images, classes):
    text = draft("folder:x", [], labelled(width, height, images, classes), [], COMMANDS)
    experiment = parse_config(text, "x.yaml", Experiment)
    rows, columns = experiment.transform.size
    assert min(rows, columns) >= 8
    assert max(rows, columns) <= 64
    if 16 <= min(width, height) <= max(width, height) <= 64:
        assert (rows, columns) == (height, width)
    elif min(width, height) / max(width, height) > 1 / 8:
        assert columns / rows == pytest.approx(width / height, rel=0.1)
    assert min(rows, columns) >> len(experiment.model.filters) >= 2
    assert experiment.trainer.batch_size <= max(16, images // 10)
    assert 5 <= experiment.trainer.epochs <= 20


def test_images_of_unknown_size_get_a_usual_one():
    text = draft("folder:x", [], Survey(examples=4, labels=labelled().labels), [], COMMANDS)
    assert parse_config(text, "x.yaml", Experiment).transform.size == (64, 64)


def test_one_class_is_nothing_to_train_on(tmp_path):
    rows = "".join(f"{name},cat\n" for name in small_sources.IMAGES)
    root = write_files(tmp_path / "data", {**small_sources.IMAGES, "x.csv": f"path,label\n{rows}".encode()})
    assert not new_config(str(root))["trains"]
    assert "model" not in yaml.safe_load(pathlib.Path("data.yaml").read_text())


# === the file


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("My Data!", "my-data.yaml"),
        ("数据", "images.yaml"),
        ("x.y.z", "x-y-z.yaml"),
        ("..weird..", "weird.yaml"),
        ("a" * 200, "a" * 60 + ".yaml"),
    ],
)
def test_default_name(tmp_path, data, expected):
    root = small_sources.folder(tmp_path / data)
    assert new_config(f"{root}/")["config"] == expected
    assert pathlib.Path(expected).is_file()


def test_default_name_of_a_file_and_of_the_working_directory(tmp_path, monkeypatch):
    root = small_sources.csv(tmp_path / "data")
    assert new_config(str(root / "list.csv"))["config"] == "list.yaml"
    monkeypatch.chdir(root)
    assert new_config(".")["config"] == "data.yaml"


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path):
    root = small_sources.folder(tmp_path / "data")
    pathlib.Path("data.yaml").write_text("mine")
    with pytest.raises(UserError, match="is there already") as caught:
        new_config(str(root))
    assert "--force" in caught.value.fix
    assert pathlib.Path("data.yaml").read_text() == "mine"
    new_config(str(root), force=True)
    assert load_experiment("data.yaml").data.source == f"folder:{root}"


def test_links_are_not_followed(tmp_path):
    root = small_sources.folder(tmp_path / "data")
    outside = tmp_path / "outside.yaml"
    pathlib.Path("data.yaml").symlink_to(outside)  # to nothing
    with pytest.raises(UserError, match="is there already"):
        new_config(str(root))
    outside.write_text("mine")
    new_config(str(root), force=True)
    assert outside.read_text() == "mine"
    assert not pathlib.Path("data.yaml").is_symlink()


def test_out(tmp_path):
    root = small_sources.folder(tmp_path / "data")
    (tmp_path / "out dir").mkdir()
    document = new_config(str(root), str(tmp_path / "out dir" / "x.yaml"))
    assert document["commands"][1] == f"conveyor run '{tmp_path}/out dir/x.yaml'"
    assert new_config(str(root), "-x.yaml")["commands"][1] == "conveyor run ./-x.yaml"
    for out, told in (("absent/x.yaml", "no such folder"), (str(tmp_path), "a folder of that name")):
        with pytest.raises(UserError, match=told):
            new_config(str(root), out)


def test_nothing_is_written_for_data_that_is_none(tmp_path):
    with pytest.raises(UserError):
        new_config(str(write_files(tmp_path / "data", {"a.txt": b""})))
    assert not list(pathlib.Path().iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_configs_run_as_they_are(tmp_path, name):
    document = new_config(str(getattr(small_sources, name)(tmp_path / "data")))
    words = ["run", document["config"], "--workspace", "space"]
    words += ["-o", "trainer.epochs=1"] if name == "folder" else ["--until", "example_validator"]
    done = warm_cli.run(words, dict(os.environ))
    # Small data of noise may well be told to be suspect, but not that the config is wrong.
    assert done.returncode in (0, 3), done.stderr
    (manifest,) = pathlib.Path("space/artifacts/Examples").glob("*/artifact.json")
    assert json.loads(manifest.read_text())["properties"]["read"] == 12
