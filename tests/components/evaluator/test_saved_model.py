import shutil

import pytest
import tensorflow as tf

from conveyor.components.evaluator.saved_model import find_saved_model, open_served
from conveyor.pipeline.errors import UserError


def make_saved_model(folder):
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    return folder


@pytest.mark.parametrize("inner", ["", "saved_model"])
def test_saved_model_and_artifact(tmp_path, inner):
    made = make_saved_model(tmp_path / "model" / inner)
    assert find_saved_model(str(tmp_path / "model")) == made


def test_serving_folder_gives_its_newest_version(tmp_path):
    for name in ("1", "2", "10", "9"):
        make_saved_model(tmp_path / name)
    for name in ("11", "1000", "-12", "v13", "14a", ".15", "²", ".partial-16"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").touch()
    assert find_saved_model(str(tmp_path)) == tmp_path / "10"


@pytest.mark.parametrize("kind", ["absent", "empty", "file", "examples"])
def test_wrong_folder_is_a_user_error(run, tmp_path, kind):
    path = {
        "absent": tmp_path / "absent",
        "empty": tmp_path,
        "file": run.model.keras_file,
        "examples": run.examples.path,
    }[kind]
    with pytest.raises(UserError, match="no exported model") as caught:
        find_saved_model(str(path))
    assert caught.value.received == str(path)
    assert "integer versions" in caught.value.expected


def test_open_served_gives_the_signature_on_bytes(run):
    served = open_served(run.model.saved_model)
    assert set(served.structured_outputs) == {"probabilities", "class_id", "class_name"}


class Foreign(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def call(self, x):
        return {"y": x + 1}


@pytest.mark.parametrize("named", ["serving_default", "other"])
def test_saved_model_that_takes_no_images_is_a_user_error(tmp_path, named):
    module = Foreign()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={named: module.call})
    with pytest.raises(UserError, match="does not take encoded images"):
        open_served(tmp_path / "m")


def test_saved_model_that_cannot_be_loaded_is_a_user_error(run, tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        open_served(make_saved_model(tmp_path / "hollow"))
    copy = tmp_path / "copy"
    shutil.copytree(run.model.saved_model, copy)
    shutil.rmtree(copy / "variables")
    with pytest.raises(UserError, match="cannot be loaded"):
        open_served(copy)
