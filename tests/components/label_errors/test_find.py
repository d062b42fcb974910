import json

import numpy as np
import PIL.Image
import pytest

from conveyor.components.label_errors.find import find_label_errors

NAMES = [str(digit) for digit in range(10)]


def test_planted_labels_of_digits_are_found(make_examples, digits, tmp_path):
    rows, wrong = digits
    (found,) = find_label_errors(make_examples(rows, NAMES, ["label"]), tmp_path / "out" / "pictures")
    named = found["examples"]
    assert len(wrong & set(named)) / len(named) > 0.9
    assert len(wrong & set(named)) / len(wrong) > 0.8
    assert set(named[:20]) <= wrong
    assert (found["kind"], found["severity"], found["split"]) == ("label_error", "warning", "")
    assert f"{len(named)} of 800 labels" in found["long"]
    json.dumps(found)


def test_pictures_are_those_of_the_worst(make_examples, digits, tmp_path):
    rows, _ = digits
    (found,) = find_label_errors(make_examples(rows, NAMES, ["label"]), tmp_path / "out" / "pictures")
    assert len(found["pictures"]) == 24
    first = found["pictures"][0]
    row = next(row for row in rows if row["key"] == found["examples"][0])
    assert first["file"] == "pictures/label_error_000.png"
    assert first["caption"].startswith(f"{row['key']}: labelled {row['label']}, looks like ")
    with PIL.Image.open(tmp_path / "out" / first["file"]) as image:
        assert image.size == (224, 224)
        np.testing.assert_array_equal(np.asarray(image)[14::28, 14::28, 0], row["image"])


def test_order_and_shards_do_not_matter(make_examples, digits, tmp_path):
    rows, _ = digits
    shuffled = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    first = find_label_errors(make_examples(rows, NAMES, ["label"]), tmp_path / "a" / "pictures")
    examples = make_examples(shuffled, NAMES, ["label"], shards=3, folder="shuffled")
    assert find_label_errors(examples, tmp_path / "b" / "pictures") == first
    for picture in first[0]["pictures"]:
        assert (tmp_path / "a" / picture["file"]).read_bytes() == (
            tmp_path / "b" / picture["file"]
        ).read_bytes()


def test_colour_is_seen(make_examples, tmp_path):
    random, rows = np.random.default_rng(0), []
    for number in range(120):
        image = random.integers(0, 60, (12, 12, 3), np.uint8)
        image[..., number % 2] += 150
        rows.append({"key": f"{number:03d}", "image": image, "label": (number % 2) ^ (number == 33)})
    (found,) = find_label_errors(make_examples(rows, ["red", "green"], ["label"]), tmp_path / "pictures")
    assert found["examples"] == ["033"]
    assert "labelled red, looks like green" in found["pictures"][0]["caption"]


def noise_rows(count, classes):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 8, 8), np.uint8)
    return [
        {"key": f"{n:03d}", "image": image, "label": n % classes if classes else -1}
        for n, image in enumerate(images)
    ]


@pytest.mark.parametrize(
    ("count", "classes"), [(5, 2), (60, 1), (60, 0), (200, 4)], ids=["tiny", "one", "unlabelled", "noise"]
)
def test_nothing_is_said_without_knowing(make_examples, tmp_path, count, classes):
    examples = make_examples(noise_rows(count, classes), NAMES[: classes or 2], ["label"])
    assert find_label_errors(examples, tmp_path / "pictures") == []
    assert not (tmp_path / "pictures").exists()


def test_data_without_annotations_is_not_judged(make_examples, tmp_path):
    assert find_label_errors(make_examples(noise_rows(30, 0), [], []), tmp_path / "pictures") == []
