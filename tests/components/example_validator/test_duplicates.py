"""Anomalies of duplicates: which pairs are told as what, counts, pictures; and groups in several splits."""

import PIL.Image
import pyarrow as pa
import pytest
from documents import brief
from small_images import encode, noise, with_orientation

from conveyor.components.artifacts import Anomalies, Examples
from conveyor.components.example_validator import duplicates
from conveyor.components.example_validator.duplicates import check_groups, find_leaks, sort_pairs
from conveyor.components.example_validator.pictures import draw_pair
from conveyor.components.leaks.duplicates import Duplicates, Group, Pair

# key: (split, label, group)
EXAMPLES = {
    "a1": ("train", 0, ""),
    "a2": ("test", 0, ""),
    "b1": ("train", 0, "p1"),
    "b2": ("train", 1, "p1"),
    "c1": ("train", 1, "p2"),
    "c2": ("test", 0, "p2"),
    "d1": ("train", -1, "p3"),
    "d2": ("train", 1, ""),
}
PAIRS = [
    Pair("a1", "a2", "exact", 1.0),
    Pair("b1", "b2", "exact", 1.0),
    Pair("c1", "c2", "near", 0.7),
    Pair("d1", "d2", "near", 0.9),
]
PLACES = {
    key: (split, ["cat", "dog"][label] if label >= 0 else "") for key, (split, label, _) in EXAMPLES.items()
}


def table():
    columns = [list(column) for column in zip(*EXAMPLES.values(), strict=True)]
    return pa.table({"key": list(EXAMPLES), **dict(zip(("split", "label", "group"), columns, strict=True))})


def test_a_pair_is_told_as_what_it_is():
    found = sort_pairs(PAIRS, PLACES)
    assert {kind: [pair.key_a for pair in pairs] for kind, pairs in found.items()} == {
        "leak": ["c1", "a1"],
        "label_conflict": ["c1", "b1"],
        "duplicate": ["d1", "b1"],
    }


def test_kinds_that_there_are_none_of_are_left_out():
    assert sort_pairs([], {}) == {}
    assert list(sort_pairs(PAIRS[:1], PLACES)) == ["leak"]


@pytest.fixture
def find(tmp_path, monkeypatch):
    """Finds leaks in the examples above, whose duplicates are given."""
    asked = []

    def read_images(examples, keys):
        asked.append(list(keys))
        return [(key, encode(noise(20, 30, 3))) for key in keys]

    def find_duplicates(facts, pixels):
        assert facts.column_names == ["key", "split", "label", "group"]
        assert set(pixels(["a1", "b2"])) == {"a1", "b2"}  # bound to the artifact
        groups = [Group((pair.key_a, pair.key_b), (), ()) for pair in PAIRS]
        return Duplicates(sorted(PAIRS), groups)

    monkeypatch.setattr(duplicates, "read_facts", lambda examples, columns: table())
    monkeypatch.setattr(duplicates, "find_duplicates", find_duplicates)
    monkeypatch.setattr(duplicates, "read_images", read_images)
    monkeypatch.setattr(duplicates, "read_grey", lambda _, keys: {key: noise(20, 30) for key in keys})

    def find(severity="error"):
        anomalies = Anomalies(tmp_path / "anomalies")
        anomalies.path.mkdir()
        examples = Examples(tmp_path / "examples", {"classes": ["cat", "dog"]})
        return anomalies.path, find_leaks(examples, severity, anomalies.path / "pictures"), asked

    return find


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_anomalies(find, severity):
    _, (leak, conflict, duplicate, straddle), _ = find(severity)
    assert brief([leak, conflict, duplicate, straddle]) == [
        ("leak", severity, ""),
        ("label_conflict", "warning", ""),
        ("duplicate", "warning", ""),
        ("group_straddles", severity, ""),
    ]
    assert leak["short"] == "4 images are duplicates in different splits"
    assert "2 pairs (1 exact, 1 near), in 2 groups, of 4 images" in leak["long"]
    assert "Pairs: test and train 2" in leak["long"]
    assert leak["examples"] == ["c1", "c2", "a1", "a2"]
    assert "Pairs: cat and dog 2" in conflict["long"]
    assert "Pairs: train 2" in duplicate["long"]
    assert all(len(one["long"]) < 400 for one in (leak, conflict, duplicate, straddle))


def test_pictures(find):
    folder, found, asked = find()
    leak = found[0]
    assert leak["pictures"] == [
        {"file": "pictures/leak_000.png", "caption": "c1 (train, dog) | c2 (test, cat)"},
        {"file": "pictures/leak_001.png", "caption": "a1 (train, cat) | a2 (test, cat)"},
    ]
    assert found[2]["pictures"][0]["caption"] == "d1 (train) | d2 (train, dog)"
    written = {path.name for path in (folder / "pictures").iterdir()}
    assert written == {
        f"{kind}_00{n}.png" for kind in ("leak", "label_conflict", "duplicate") for n in (0, 1)
    }
    assert len(asked) == 1, "pictures are read once for all anomalies"
    assert asked[0] == sorted(set(asked[0]))


def test_at_most_twelve_pictures(find, monkeypatch):
    monkeypatch.setattr(duplicates, "_DRAWN", 1)
    folder, found, _ = find()
    assert [len(one["pictures"]) for one in found] == [1, 1, 1, 0]
    assert len(list((folder / "pictures").iterdir())) == 3


def test_a_picture_that_cannot_be_drawn_is_left_out(find, monkeypatch):
    monkeypatch.setattr(duplicates, "draw_pair", lambda *_: False)
    assert find()[1][0]["pictures"] == []


# === groups ===


def test_a_group_in_several_splits():
    (one,) = check_groups(table(), "error")
    assert brief([one]) == [("group_straddles", "error", "")]
    assert "1 of 3 groups are in several splits: 'p2'. 'p2' is in test, train" in one["long"]
    assert one["examples"] == ["c2", "c1"]


def test_groups_that_stay_together():
    assert check_groups(table().filter(pa.compute.equal(table()["split"], "train")), "error") == []


# === drawing ===


def load(path):
    with PIL.Image.open(path) as image:
        return image.convert("RGB"), image.format


def test_side_by_side(tmp_path):
    file = tmp_path / "pictures" / "one.png"
    left, right = PIL.Image.new("RGB", (320, 160), "red"), PIL.Image.new("L", (40, 100), 255)
    assert draw_pair(file, encode(left, "JPEG"), encode(right))
    image, kind = load(file)
    # The large one shrunk to 160 x 80, the small one as it is: twice as large would be too high.
    assert (kind, image.size) == ("PNG", (160 + 8 + 40, 100))
    assert image.getpixel((80, 40))[0] > 240
    assert image.getpixel((80, 40))[1] < 20
    assert image.getpixel((164, 40)) == image.getpixel((80, 95)) == (128, 128, 128)
    assert image.getpixel((180, 50)) == (255, 255, 255)


def test_small_images_are_enlarged_by_whole_pixels(tmp_path):
    assert draw_pair(tmp_path / "p" / "x.png", encode(noise(28, 28)), encode(noise(50, 10)))
    assert load(tmp_path / "p" / "x.png")[0].size == (140 + 8 + 30, 150)


def test_photos_are_turned(tmp_path):
    turned = with_orientation(noise(40, 160, 3), "JPEG", 6)
    assert draw_pair(tmp_path / "p" / "x.png", turned, turned)
    assert load(tmp_path / "p" / "x.png")[0].size == (40 + 8 + 40, 160)


def test_pixels_of_16_bits(tmp_path):
    data = encode(PIL.Image.new("I;16", (100, 100), 128 * 256))
    assert draw_pair(tmp_path / "p" / "x.png", data, data)
    assert load(tmp_path / "p" / "x.png")[0].getpixel((50, 50)) == (128, 128, 128)


def test_what_is_no_image(tmp_path, monkeypatch):
    assert not draw_pair(tmp_path / "x.png", b"no image", encode(noise(9, 9)))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    assert not draw_pair(tmp_path / "x.png", encode(noise(90, 90)), encode(noise(9, 9)))
    assert not (tmp_path / "x.png").exists()
