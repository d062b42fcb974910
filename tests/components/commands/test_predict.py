import json
import shutil

import numpy as np
import PIL.Image
import pytest
from small_run import CLASSES

from conveyor.components.commands.predict import predict_files
from conveyor.pipeline.errors import UserError


@pytest.fixture(scope="module")
def judged(run):
    """What the evaluator recorded: id -> outputs."""
    with np.load(run.evaluation.predictions_file) as file:
        columns = dict(file)
    return {
        name: {key: columns[key][i] for key in ("probabilities", "class_id", "class_name")}
        for i, name in enumerate(columns["ids"])
    }


def predict(run, images, **options):
    return list(predict_files(str(run.model.path), [str(image) for image in images], **options))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_predictions_are_those_that_were_judged(run, judged, batch_size):
    rows = predict(run, [run.source / name for name in judged], batch_size=batch_size)
    assert [row["image"] for row in rows] == [str(run.source / name) for name in judged]
    for row, expected in zip(rows, judged.values(), strict=True):
        assert set(row) == {"image", "probabilities", "class_id", "class_name"}
        np.testing.assert_allclose(row["probabilities"], expected["probabilities"], atol=1e-6)
        assert row["class_id"] == expected["class_id"]
        assert row["class_name"] == expected["class_name"] == CLASSES[row["class_id"]]
    assert json.loads(json.dumps(rows)) == rows


def test_one_bad_file_does_not_harm_the_others(run, judged, tmp_path):
    garbage, empty, text = tmp_path / "garbage.png", tmp_path / "empty.png", tmp_path / "text.jpg"
    garbage.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    empty.touch()
    text.write_text("no image")
    good = [run.source / name for name in list(judged)[:4]]
    files = [good[0], tmp_path / "absent.png", good[1], garbage, empty, text, tmp_path, good[2], good[3]]
    rows = predict(run, files, batch_size=5)
    assert [row["image"] for row in rows] == list(map(str, files))
    assert [set(row) == {"image", "error"} for row in rows] == [0, 1, 0, 1, 1, 1, 1, 0, 0]
    assert rows[1]["error"] == "cannot be read: No such file or directory"
    assert "unreadable" in rows[3]["error"]
    assert "empty" in rows[4]["error"]
    alone = predict(run, good)
    for row, expected in zip([row for row in rows if "error" not in row], alone, strict=True):
        assert row["class_name"] == expected["class_name"]
        np.testing.assert_allclose(row["probabilities"], expected["probabilities"], atol=1e-6)


def test_nothing_but_bad_files(run, tmp_path):
    (row,) = predict(run, [tmp_path / "absent.png"])
    assert set(row) == {"image", "error"}
    assert predict(run, []) == []


def test_image_that_the_graph_refuses_is_an_error_of_its_own(run, judged, tmp_path, monkeypatch):
    # A file that is let through and that TensorFlow cannot decode.
    from conveyor.components.example_gen import images

    class Raw:
        def __init__(self, data, _max_pixels):
            self.data = data

    monkeypatch.setattr(images, "measure", Raw)
    odd = tmp_path / "odd.png"
    odd.write_bytes(b"no image at all")
    good = [run.source / name for name in list(judged)[:3]]
    rows = predict(run, [good[0], odd, good[1], good[2]])
    assert ["error" in row for row in rows] == [False, True, False, False]
    assert "\n" not in rows[1]["error"]
    assert "is no image the model can read" in rows[1]["error"]


@pytest.mark.parametrize("kind", ["webp", "rotated", "alpha", "palette", "16 bits"])
def test_files_are_read_as_training_data_is(run, judged, tmp_path, kind):
    name = next(name for name in judged if name.endswith(".png"))
    image = PIL.Image.open(run.source / name)
    path = tmp_path / "image.png"
    if kind == "webp":
        path = tmp_path / "image.webp"
        image.save(path, lossless=True)
    elif kind == "rotated":  # stored on its side, with a note to turn it
        exif = PIL.Image.Exif()
        exif[0x0112] = 8
        image.transpose(PIL.Image.Transpose.ROTATE_270).save(path, exif=exif)
    elif kind == "alpha":
        image.convert("LA").save(path)
    elif kind == "palette":
        image.convert("P").save(path)
    else:
        PIL.Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(path)
    (row,) = predict(run, [path])
    np.testing.assert_allclose(row["probabilities"], judged[name]["probabilities"], atol=1e-5)


def test_serving_folder_answers_with_its_newest_version(run, judged, tmp_path):
    shutil.copytree(run.model.saved_model, tmp_path / "10")
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "saved_model.pb").write_bytes(b"broken, and not to be loaded")
    name = next(iter(judged))
    (row,) = predict_files(str(tmp_path), [str(run.source / name)])
    assert row["class_id"] == judged[name]["class_id"]


def test_no_model_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no exported model"):
        list(predict_files(str(tmp_path), ["a.png"]))
