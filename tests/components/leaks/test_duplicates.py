import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
import sklearn.datasets

from conveyor.components.leaks import duplicates
from conveyor.components.leaks.duplicates import Group, connected, find_duplicates


def _digits(count):
    pixels = sklearn.datasets.load_digits().images[:count]
    grey = [PIL.Image.fromarray((image * 15.9).astype(np.uint8)) for image in pixels]
    return [np.asarray(image.resize((32, 32), PIL.Image.Resampling.BICUBIC)) for image in grey]


def _search(make_table, images, **columns):
    table = make_table(images, **columns)
    shown = dict(zip(table.column("key").to_pylist(), images, strict=True))
    return find_duplicates(table, lambda keys: {key: shown[key] for key in keys})


@pytest.mark.parametrize("kind", ["textures", "digits"])
def test_every_copy_is_found_and_nothing_else(textures, copy, make_table, kind):
    images = textures[:60] if kind == "textures" else _digits(60)
    found = _search(make_table, images + [copy(image) for image in images])
    pairs = {(int(pair.key_a), int(pair.key_b)) for pair in found.pairs}
    assert {(row, row + 60) for row in range(60)} <= pairs
    assert all(b - a == 60 for a, b in pairs)
    assert all(pair.kind == "near" and 0.5 <= pair.score <= 1 for pair in found.pairs)


def test_distinct_images_raise_no_alarm(textures, make_table):
    assert _search(make_table, textures).pairs == []


def test_distinct_digits_raise_no_alarm(make_table):
    assert _search(make_table, _digits(1797)).pairs == []


def test_one_spot_makes_a_scene_another_one(textures, make_table):
    other = textures[0].copy()
    other[30:34, 30:34] = 255 - other[30:34, 30:34] // 4
    assert _search(make_table, [textures[0], other]).pairs == []


def test_exact_duplicates_and_their_group(textures, make_table):
    images = [textures[0], textures[1], textures[0], textures[0]]
    columns = {
        "content_hash": ["x", "y", "x", "x"],
        "split": ["train", "train", "test", "test"],
        "label": [1, 2, 1, 3],
    }
    found = _search(make_table, images, **columns)
    assert [(p.key_a, p.key_b, p.kind, p.score) for p in found.pairs] == [
        ("00000", "00002", "exact", 1.0),
        ("00000", "00003", "exact", 1.0),
    ]
    assert found.groups == [Group(("00000", "00002", "00003"), ("test", "train"), (1, 3))]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_makes_no_difference(textures, copy, make_table, seed):
    images = textures[:12] + [copy(image) for image in textures[:12]]
    table = make_table(images)
    pixels = lambda keys: {key: images[int(key)] for key in keys}  # noqa: E731
    mixed = table.take(np.random.default_rng(seed).permutation(len(table)))
    assert find_duplicates(mixed, pixels) == find_duplicates(table, pixels)


def test_images_of_one_colour_are_duplicates_of_the_same_colour(textures, make_table):
    greys = [np.full((32 + extra, 32), grey, np.uint8) for grey in (0, 100, 101) for extra in (0, 3)]
    found = _search(make_table, [*greys, textures[0]])
    assert [group.keys for group in found.groups] == [
        ("00000", "00001"),
        ("00002", "00003"),
        ("00004", "00005"),
    ]


def test_faint_noise_is_not_compared(make_table):
    random = np.random.default_rng(0)
    faint = [(200 + random.integers(0, 2, (32, 32))).astype(np.uint8) for _ in range(50)]
    assert _search(make_table, faint).pairs == []


def test_pixels_are_asked_for_in_bounded_batches(textures, make_table, monkeypatch):
    monkeypatch.setattr(duplicates, "BATCH_BYTES", 10 * 64 * 64)
    images = textures[:40] + [image.copy() for image in textures[:40]]
    table, asked = make_table(images), []

    def pixels(keys):
        asked.append(len(keys))
        return {key: images[int(key)] for key in keys}

    found = find_duplicates(table, pixels)
    assert len(found.pairs) == 40
    assert max(asked) <= 10
    assert sum(asked) == 80


def test_nothing_at_all():
    columns = ["key", "split", "group", "content_hash"]
    schema = pa.schema(
        [(n, pa.string()) for n in columns] + [("label", pa.int32()), ("fingerprint", pa.binary())]
    )
    found = find_duplicates(schema.empty_table(), lambda keys: {})
    assert found.pairs == []
    assert found.groups == []


def test_connected():
    assert connected([(5, 3), (1, 2), (3, 9), (2, 1)]) == [[1, 2], [3, 5, 9]]
