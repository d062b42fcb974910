"""conveyor metrics: AP straight from files, and what it says of files that cannot be measured."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from pycoco import reference

EMPTY = '{"images": [], "annotations": [], "categories": []}'


def coco(seed, images=6, count=40):
    """Returns a COCO document with outlines, and a list of results."""
    generator = np.random.default_rng(seed)
    listed = [{"id": 10 * i + 5, "width": 64, "height": 48} for i in range(images)]
    entries = []
    for row in range(count):
        x, y = generator.integers(0, 30, 2).tolist()
        w, h = generator.integers(4, 18, 2).tolist()
        entries.append(
            {
                "id": row + 1,
                "image_id": listed[generator.integers(images)]["id"],
                "category_id": int(generator.integers(1, 3)),
                "bbox": [x, y, w, h],
                "area": float(w * h),
                "iscrowd": 0,
                "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
            }
        )
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    results = []
    for entry in entries:
        x, y, w, h = entry["bbox"]
        moved = [x + int(generator.integers(0, 3)), y, w, h]
        score = float(generator.random())
        results.append(
            {
                "image_id": entry["image_id"],
                "category_id": entry["category_id"],
                "bbox": moved,
                "score": score,
            }
        )
    return {"images": listed, "annotations": entries, "categories": categories}, results


def rle(box, height=48, width=64):
    """Returns the run lengths, as COCO lists them, of a box of whole pixels."""
    mask = np.zeros((height, width), int)
    x, y, w, h = box
    mask[y : y + h, x : x + w] = 1
    flat = mask.ravel(order="F")
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, len(flat))
    runs = np.diff(ends, prepend=0).tolist()
    return {"size": [height, width], "counts": [0, *runs] if flat[0] else runs}


@pytest.fixture
def files(tmp_path):
    """Writes documents; returns their paths."""

    def files(*documents):
        paths = []
        for number, document in enumerate(documents):
            path = tmp_path / f"{number}.json"
            path.write_text(document if isinstance(document, str) else json.dumps(document))
            paths.append(path)
        return paths

    return files


def test_coco_equals_pycocotools(files, call_json):
    truth, results = coco(0)
    expected = reference(json.loads(json.dumps(truth)), [dict(row) for row in results])
    code, report = call_json("metrics", "coco", *files(truth, results), "--bootstrap", 50)
    assert code == 0
    for name, value in expected.items():
        found = report["metrics"][name]["value"]
        assert (found is None) if np.isnan(value) else found == pytest.approx(value, abs=1e-9), name
    assert report["metrics"]["AP"]["low"] < report["metrics"]["AP"]["value"] < report["metrics"]["AP"]["high"]
    assert {"voc07_AP50", "voc_AP50", "AP50/cat", "AP50/dog"} <= report["metrics"].keys()
    assert (report["images"], report["objects"], report["detections"]) == (6, 40, 40)
    assert "VOC07" in report["notes"][0]
    assert set(report["errors"]) == {"Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"}


@pytest.mark.parametrize("with_box", [True, False])
def test_outlines_equal_pycocotools(files, call_json, with_box):
    truth, results = coco(1)
    for number, row in enumerate(results):
        row["segmentation"] = rle(row["bbox"])
        if not with_box:
            del row["bbox"]
            row["segmentation"] = rle([5, 5, 9, 9]) if number % 3 == 0 else row["segmentation"]
    copied = json.loads(json.dumps(results))
    for row in copied:  # pycocotools wants them compressed
        from pycocotools import mask

        row["segmentation"] = mask.frPyObjects(row["segmentation"], 48, 64)
    expected = reference(json.loads(json.dumps(truth)), copied, "segm")
    _, report = call_json("metrics", "coco", *files(truth, results), "--segm", "--bootstrap", 0)
    found = {name: metric["value"] for name, metric in report["metrics"].items()}
    for name, value in expected.items():
        assert (found[name] is None) if np.isnan(value) else found[name] == pytest.approx(value, abs=1e-9), (
            name
        )


def test_comparison_of_two(files, call_json, call):
    truth, results = coco(2)
    worse = [{**row, "bbox": [row["bbox"][0] + 3, *row["bbox"][1:]]} for row in results]
    paths = files(truth, worse, results)
    words = ("metrics", "coco", *paths[:2], "--compare", paths[2], "--bootstrap", 60)
    code, report = call_json(*words)
    assert code == 0
    change = report["difference"]["AP"]
    assert change["value"] == pytest.approx(report["other"]["AP"]["value"] - report["metrics"]["AP"]["value"])
    assert change["low"] > 0
    assert change["probability"] == 1
    code, out, _ = call(*words)
    assert code == 0
    assert all(word in out for word in ("voc07_AP50", "probability", "AP50 lost", "VOC asks for"))


def test_no_detections_and_no_truth(files, call_json):
    truth, results = coco(3)
    code, report = call_json("metrics", "coco", *files(truth, []))
    assert (code, report["metrics"]["AP"]["value"], report["errors"]) == (0, 0, None)
    assert any("no detections" in note for note in report["notes"])
    code, report = call_json("metrics", "coco", *files({**truth, "annotations": []}, results))
    assert (code, report["metrics"]["AP"]) == (0, {"value": None, "low": None, "high": None})
    assert any("not defined" in note for note in report["notes"])
    code, report = call_json("metrics", "coco", *files(EMPTY, []))
    assert (code, report["images"], report["metrics"]["AP"]["value"]) == (0, 0, None)


def test_scores_outside_of_one_are_taken_by_their_order_and_told(files, call_json):
    truth, results = coco(4)
    logits = [{**row, "score": 20 * row["score"] - 10} for row in results]
    _, plain = call_json("metrics", "coco", *files(truth, results))
    _, report = call_json("metrics", "coco", *files(truth, logits))
    assert report["metrics"] == plain["metrics"]
    assert any("outside [0, 1]" in note for note in report["notes"])


BAD_RESULTS = {
    "NaN": {"score": float("nan")},
    "infinite": {"score": float("inf")},
    "text for a score": {"score": "0.5"},
    "no score": {"score": None},
    "left right of right": {"bbox": [5, 5, -3, 4]},
    "infinite box": {"bbox": [5, 5, float("inf"), 4]},
    "three sides": {"bbox": [5, 5, 3]},
    "nested": {"bbox": [[[5]], 5, 3, 3]},
    "no box": {"bbox": None},
    "unknown image": {"image_id": 6},
    "image of another type": {"image_id": [5]},
    "unknown class": {"category_id": 3},
    "huge number": {"category_id": 10**30},
}


@pytest.mark.parametrize("change", BAD_RESULTS.values(), ids=BAD_RESULTS)
def test_a_bad_result_is_named(files, call_json, change):
    truth, results = coco(5)
    results[7] = {**results[7], **change}
    code, report = call_json("metrics", "coco", *files(truth, results))
    assert code == 2
    assert report["error"]["where"].endswith("1.json[7]")


def test_a_bad_truth_is_named(files, call_json):
    truth, results = coco(6)
    twice = {**truth, "images": [*truth["images"], truth["images"][2]]}
    same = {**truth, "annotations": [*truth["annotations"], truth["annotations"][4]]}
    area = {**truth, "annotations": [{**truth["annotations"][0], "area": -1}, *truth["annotations"][1:]]}
    for document, where in ((twice, "images[6]"), (same, "annotations[40]"), (area, "annotations[0]")):
        code, report = call_json("metrics", "coco", *files(document, results))
        assert code == 2
        assert report["error"]["where"].endswith(where)


HOSTILE = {
    "deep": "[" * 200_000,
    "no JSON": "\x00\x01",
    "list": "[]",
    "lists of nothing": '{"images": [1], "annotations": [], "categories": []}',
    "digits": '{"images": [{"id": ' + "1" * 5000 + "}",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(files, call_json, text):
    code, report = call_json("metrics", "coco", *files(text, []))
    assert code == 2
    assert report["error"]["kind"] == "UserError"
    truth, _ = coco(7)
    code, report = call_json("metrics", "coco", *files(truth, text if text != "[]" else "{}"))
    assert code == 2


BAD_OUTLINES = {
    "other size": {"size": [64, 48], "counts": [64 * 48]},
    "too short": {"size": [48, 64], "counts": [3]},
    "garbage": {"size": [48, 64], "counts": "zzz\u1234"},
    "far away": [[0, 0, 1e9, 0, 1e9, 1e9]],
    "a point": [[1, 1]],
    "none": None,
}


@pytest.mark.parametrize("outline", BAD_OUTLINES.values(), ids=BAD_OUTLINES)
def test_bad_outlines_are_refused(files, call_json, outline):
    truth, results = coco(8)
    results = [{**row, "segmentation": rle(row["bbox"])} for row in results]
    results[3]["segmentation"] = outline
    code, report = call_json("metrics", "coco", *files(truth, results), "--segm")
    assert code == 2
    assert report["error"]["where"].endswith("1.json[3]")


XML = """<annotation><size><width>100</width><height>100</height></size>{}</annotation>"""
OBJECT = """<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>
<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


@pytest.fixture
def voc(tmp_path):
    """Two images: a red blood cell and a difficult one; a white one. And what a detector says of them."""
    (tmp_path / "gt/Annotations").mkdir(parents=True)
    (tmp_path / "gt/ImageSets/Main").mkdir(parents=True)
    (tmp_path / "dt").mkdir()
    one = OBJECT.format("red cell", 0, 1, 1, 10, 10) + OBJECT.format("red cell", 1, 51, 51, 60, 60)
    (tmp_path / "gt/Annotations/a.xml").write_text(XML.format(one))
    (tmp_path / "gt/Annotations/b.xml").write_text(XML.format(OBJECT.format("cell", 0, 1, 1, 10, 10)))
    (tmp_path / "gt/ImageSets/Main/test.txt").write_text("b\n")
    # 10 x 6 within 10 x 10, as both edges belong to a box: IoU 0.6
    (tmp_path / "dt/comp4_det_test_red cell.txt").write_text("a 0.9 1 1 10 6\na 0.8 51 51 60 60\n")
    (tmp_path / "dt/comp4_det_test_cell.txt").write_text("b 0.7 1 1 10 10\nb 0.9 70 70 80 80\n")
    return tmp_path


def test_voc(voc, call_json):
    """red cell: the difficult one is left out, one of one found: 1. cell: one wrong before it: 1/2.

    COCO counts the difficult one: both are found, the first up to IoU 0.6, three thresholds of ten; the
    second at all. At the other seven: wrong, then right: half of the recalls at precision 1/2.
    """
    code, report = call_json("metrics", "voc", voc / "gt", voc / "dt", "--bootstrap", 0)
    assert code == 0
    values = {name: metric["value"] for name, metric in report["metrics"].items()}
    assert values["voc_AP50"] == pytest.approx(0.75)
    assert values["voc07_AP50"] == pytest.approx(0.75)
    assert (values["AP50/red cell"], values["AP50/cell"]) == (pytest.approx(1), pytest.approx(0.5))
    assert values["AP"] == pytest.approx(((0.3 + 0.7 * 51 / 101 / 2) + 0.5) / 2)


def test_voc_set(voc, call_json):
    code, report = call_json("metrics", "voc", voc / "gt", voc / "dt", "--set", "test")
    assert code == 2  # detections of an image outside
    assert "comp4_det_test_red cell" in report["error"]["received"]
    (voc / "dt/comp4_det_test_red cell.txt").unlink()
    code, report = call_json("metrics", "voc", voc / "gt", voc / "dt", "--set", "test")
    assert (code, report["images"]) == (0, 1)
    assert call_json("metrics", "voc", voc / "gt", voc / "dt", "--set", "../../x")[0] == 2


BAD_LINES = [
    "a nan 1 1 10 10",
    "a 0.5 1 1 10",
    "c 0.5 1 1 10 10",
    "a 0.5 9 1 2 10",
    "a 0.5 1 1 inf 10",
    "a b c d e f",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_named(voc, call_json, line):
    path = voc / "dt/comp4_det_test_cell.txt"
    path.write_text(path.read_text() + line + "\n")
    code, report = call_json("metrics", "voc", voc / "gt", voc / "dt")
    assert code == 2
    assert report["error"]["where"].endswith("comp4_det_test_cell.txt: line 3")


def test_bad_voc_folders(voc, call_json, tmp_path):
    (voc / "dt/comp4_det_test_platelet.txt").write_text("")
    assert call_json("metrics", "voc", voc / "gt", voc / "dt")[0] == 2
    assert call_json("metrics", "voc", tmp_path / "nowhere", voc / "dt")[0] == 2
    (voc / "dt/comp4_det_test_platelet.txt").unlink()
    (voc / "gt/Annotations/c.xml").write_text('<!DOCTYPE x [<!ENTITY e "e">]><annotation>&e;</annotation>')
    code, report = call_json("metrics", "voc", voc / "gt", voc / "dt")
    assert (code, pathlib.Path(report["error"]["where"]).name) == (2, "c.xml")


@pytest.fixture
def masks(tmp_path):
    """Writes folders of masks; returns a function that does."""

    def masks(folder, *arrays):
        (tmp_path / folder).mkdir()
        for number, array in enumerate(arrays):
            PIL.Image.fromarray(np.array(array, np.uint8)).save(tmp_path / folder / f"{number}.png")
        return tmp_path / folder

    return masks


def test_masks(masks, call_json):
    """Class 0: 2 of 3 in common, class 1: 2 of 3; the void pixel counts nowhere. 4 of 5 pixels right."""
    truth = masks("gt", [[0, 0, 255]], [[1, 1, 0]])
    told = masks("dt", [[0, 0, 1]], [[1, 1, 1]])
    (truth / "classes.txt").write_text("sky\nsea\n")
    unsure = masks("unsure", [[0, 255, 1]], [[1, 1, 1]])
    assert call_json("metrics", "masks", truth, unsure)[0] == 2  # void is no prediction
    code, report = call_json("metrics", "masks", truth, told, "--compare", told, "--bootstrap", 50)
    assert code == 0
    values = {name: metric["value"] for name, metric in report["metrics"].items()}
    assert (values["iou/sky"], values["iou/sea"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert values["pixel_accuracy"] == pytest.approx(4 / 5)
    assert report["difference"]["mean_iou"]["probability"] == 0.5
    assert report["metrics"]["mean_iou"]["low"] <= values["mean_iou"] <= report["metrics"]["mean_iou"]["high"]


def test_bad_masks(masks, call_json, tmp_path):
    truth = masks("gt", [[0, 1]], [[1, 1]])
    cases = {
        "missing": masks("one", [[0, 1]]),
        "size": masks("size", [[0, 1]], [[1], [1]]),
        "colour": masks("colour", np.zeros((1, 2, 3)), np.zeros((1, 2, 3))),
        "empty": masks("none"),
    }
    broken = masks("broken", [[0, 1]], [[1, 1]])
    (broken / "1.png").write_bytes((broken / "1.png").read_bytes()[:40])
    for folder in (*cases.values(), broken, tmp_path / "nowhere"):
        code, report = call_json("metrics", "masks", truth, folder)
        assert (code, report["error"]["kind"]) == (2, "UserError"), folder


def test_options_of_other_forms_are_refused(files, call):
    truth, results = coco(9)
    paths = files(truth, results)
    assert call("metrics", "coco", *paths, "--set", "test")[0] == 2
    assert call("metrics", "masks", *paths, "--segm")[0] == 2
    assert call("metrics", "coco", *paths, "--bootstrap", "-1")[0] == 2
    assert call("metrics", "yolo", *paths)[0] == 2


def test_needs_no_tensorflow(files):
    program = "import sys; from conveyor.cli.app import main; main(sys.argv[1:])"
    program += "; assert 'tensorflow' not in sys.modules"
    words = ["metrics", "coco", *map(str, files(*coco(10)))]
    subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True)
