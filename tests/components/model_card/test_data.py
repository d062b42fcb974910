"""The part of the page about the data."""

import json
import re

import numpy as np
import PIL.Image
import pytest

from conveyor.components.model_card.anomalies import anomalies_section
from conveyor.components.model_card.data_figures import statistics_figures
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.quarantine import quarantine_section
from conveyor.components.model_card.results import Results, find_stop, find_verdict
from conveyor.components.model_card.settings import ModelCardSettings


def _verdict(run, data_only=True):
    return [(said.tone, said.short, said.long) for said in find_verdict(Results(**run.made), data_only)]


def test_the_verdict_without_a_model_is_on_the_data(data_run):
    anomalies = data_run.made["anomalies"]
    assert _verdict(data_run) == [
        ("bad", "Data checked: 1 error", "1 error and 1 warning in 200 examples."),
    ]
    anomalies.write([anomaly for anomaly in anomalies.read() if anomaly["severity"] == "warning"])
    assert _verdict(data_run) == [
        ("good", "Data checked: passed", "0 errors and 1 warning in 200 examples."),
    ]
    data_run.made["anomalies"] = None
    assert _verdict(data_run)[0][:2] == ("open", "Data not checked")
    assert len(_verdict(data_run, data_only=False)) == 3


def test_stages_that_there_are_not_are_not_missed(data_run):
    assert find_stop(Results(**data_run.made), data_only=True) is None
    assert find_stop(Results(**data_run.made), data_only=False)["missing"][0] == "transform"
    data_run.stop_after("anomalies", "the data did not pass", "mend it")
    stop = {"stage": "example_validator", "reason": "the data did not pass", "fix": "mend it", "missing": []}
    assert find_stop(Results(**data_run.made), data_only=True) == stop
    page = data_run.card()
    assert "Data checked: 1 error" in page
    for absent in ("Not run", "Not judged", "Not proved", "Not pushed", "Model card"):
        assert absent not in page, absent


def _quarantine(run, limit=24):
    return quarantine_section(Results(**run.made), Album(limit))


def test_quarantine_is_counted_by_reason_and_action(data_run):
    section = _quarantine(data_run)
    assert section["actions"] == ["set_aside", "dropped", "clipped", "kept"]
    assert section["totals"] == [2, 1, 22, 2]
    assert [(reason["name"], reason["counts"]) for reason in section["reasons"]] == [
        ("box_outside", [0, 0, 22, 0]),
        ("a reason of tomorrow", [0, 0, 0, 1]),
        ("box_degenerate", [0, 1, 0, 0]),
        ("image_size", [0, 0, 0, 1]),
        ("truncated", [1, 0, 0, 0]),
        ("unreadable", [1, 0, 0, 0]),
    ]
    page = data_run.card()
    assert "ends before its pixels do" in page
    assert "7 more rows in quarantine.jsonl" in page


def test_every_reason_has_rows_and_pictures_however_many_another_has(data_run):
    section = _quarantine(data_run, limit=2)
    assert len(section["rows"]) == 20
    assert {row["reason"] for row in section["rows"]} == {reason["name"] for reason in section["reasons"]}
    assert [picture["caption"] for picture in section["pictures"]] == [
        "slide.jpg objects[0]: box_outside - slide.jpg is not as it must be",
        "slide.jpg objects[3]: box_degenerate - slide.jpg is not as it must be",
    ]
    assert section["left"] == 21


def test_a_row_that_says_little_is_of_a_file_set_aside(data_run):
    file = data_run.made["examples"].quarantine_file
    file.write_text('{"file": "a.png", "reason": "empty"}\n', encoding="utf-8")
    section = _quarantine(data_run)
    assert (section["actions"], section["totals"], section["pictures"]) == (["set_aside"], [1], [])


def test_errors_come_first_also_when_room_is_short(data_run):
    anomalies = data_run.made["anomalies"]
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    PIL.Image.fromarray(noise).save(anomalies.path / "noise.png")
    pictures = [{"file": "noise.png", "caption": "noise"}] * 3
    texts = {"split": "", "short": "", "long": "", "examples": []}
    found = [{"severity": name, **texts, "pictures": pictures} for name in ("warning", "error")]
    anomalies.write([*found, {"severity": "warning", **texts}])
    groups = anomalies_section(Results(**data_run.made), Album(24, max_bytes=190_000))
    assert [(group["severity"], group["count"]) for group in groups] == [("error", 1), ("warning", 2)]
    shown = [(len(one["pictures"]), one["left"]) for group in groups for one in group["anomalies"]]
    assert shown == [(3, 0), (0, 3), (0, 0)]


def _titles(run):
    statistics = run.made["statistics"].read()
    return [figure.title for figure in statistics_figures(statistics, run.classes)]


def test_there_is_a_figure_for_what_was_measured(data_run, run):
    assert _titles(data_run) == [
        *["Image height", "Image aspect", "File size", "Brightness", "Sharpness"],
        *["Objects of each class", "Objects per image", "Object size", "Object size in its image"],
        *[
            "Object aspect",
            "Object size by class (test)",
            "Object aspect by class (test)",
            "Where objects are",
        ],
        *["Pixels of each class", "Images that show each class"],
    ]
    assert _titles(run) == ["Classes", "Image width", "Image height", "File size", "Brightness"]


def _rows(figures, title):
    (figure,) = [figure for figure in figures if figure.title == title]
    return json.loads(figure.spec)["datasets"]["rows"]


def test_classes_are_in_label_order_with_those_that_a_split_lacks():
    statistics = {
        "train": {"examples": 3, "objects": {"classes": {"b": 2, "a": 1}}},
        "test": {"examples": 1, "objects": {"classes": {"z": 5}}},
    }
    rows = _rows(statistics_figures(statistics, ["a", "b", "c"]), "Objects of each class")
    found = [(row["group"], row["name"], row["count"]) for row in rows]
    assert found[:4] == [("train", "a", 1), ("train", "b", 2), ("train", "c", 0), ("train", "z", 0)]
    assert found[4:] == [("test", "a", 0), ("test", "b", 0), ("test", "c", 0), ("test", "z", 5)]


def test_of_very_many_classes_the_most_frequent_and_the_rarest_are_drawn():
    names = [f"class {number:03}" for number in range(1000)]
    counts = {name: (7 * number) % 1000 for number, name in enumerate(names)}
    (figure,) = statistics_figures({"train": {"examples": 1, "classes": counts}}, names)
    rows = _rows([figure], "Classes")
    assert sorted(row["count"] for row in rows) == [*range(150), *range(850, 1000)]
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert "Of 1,000 classes, the 150 most frequent and the 150 rarest are drawn." in figure.caption


@pytest.mark.parametrize("keys", [(), ("objects",), ("mask",), ("width", "height"), ("formats", "modes")])
def test_statistics_may_lack_whatever_was_not_measured(data_run, keys):
    statistics = data_run.made["statistics"]
    document = statistics.read()
    for values in document.values():
        for key in keys or list(values):
            del values[key]
    statistics.write(document)
    assert "160" in data_run.card()


def test_nothing_in_a_split_is_no_figure(data_run):
    statistics = data_run.made["statistics"]
    objects = {"count": 0, "crowd": 0, "difficult": 0, "empty_images": 0, "classes": {"RBC": 0}}
    objects |= {"position": [[0] * 16] * 16, "per_class": {}}
    objects |= dict.fromkeys(("per_image", "size", "relative_size", "aspect"))
    mask = {"shares": {"RBC": 0.0}, "images": {"RBC": 0}, "void": 0.0}
    statistics.write({"train": {"examples": 9, "objects": objects, "mask": mask}, "test": {"examples": 0}})
    assert _titles(data_run) == []
    assert 'id="statistics"' not in data_run.card()


def test_only_examples_without_classes(data_run):
    data_run.made |= {"statistics": None, "anomalies": None}
    data_run.made["examples"].properties["classes"] = []
    data_run.made["examples"].quarantine_file.write_text("", encoding="utf-8")
    page = data_run.card()
    for told in ("Data not checked", "<p>200 examples.</p>", "Nothing was set aside of 202 files."):
        assert told in page, told


def test_same_inputs_same_bytes(data_run):
    assert data_run.card(out="a") == data_run.card(out="b")


def test_a_page_full_of_pictures_and_classes_stays_small(data_run):
    names = [f"a class with a name of some length, number {number}" for number in range(2000)]
    big = type(data_run)(data_run.folder / "big", names)
    for number in range(20):
        noise = np.random.default_rng(number).integers(0, 256, (300, 300), np.uint8)
        PIL.Image.fromarray(noise).save(big.made["anomalies"].path / f"{number}.png")
    pictures = [{"file": f"{number}.png", "caption": "noise"} for number in range(20)]
    anomaly = {"severity": "error", "split": "", "short": "s", "long": "l" * 500, "examples": ["e"] * 9}
    big.made["anomalies"].write([{**anomaly, "pictures": pictures}] * 500)
    page = big.card(ModelCardSettings())
    assert len(page.encode()) < 3_000_000 - 700_000  # the rest is left to pictures of the evaluation
    assert "And 400 more, in anomalies.json." in re.sub(r"\s+", " ", page)
