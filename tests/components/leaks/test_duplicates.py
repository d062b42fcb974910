import numpy as np
import PIL.Image
import pytest
import sklearn.datasets

from conveyor.components.leaks.duplicates import Group, connected, find_duplicates


def _digits(count):
    pixels = sklearn.datasets.load_digits().images[:count]
    # at most 224, as clipping at 255 is not a change of brightness alone
    grey = [PIL.Image.fromarray((image * 14).astype(np.uint8)) for image in pixels]
    return [np.asarray(image.resize((32, 32), PIL.Image.Resampling.BICUBIC)) for image in grey]


def _planted(found, count):
    return [(p.key_a, p.key_b) for p in found.pairs if int(p.key_b) == int(p.key_a) + count]


@pytest.mark.parametrize("kind", ["textures", "digits"])
def test_every_copy_is_found(textures, copy, make_table, kind):
    images = textures[:150] if kind == "textures" else _digits(150)
    found = find_duplicates(make_table(images + [copy(image) for image in images]))
    assert len(_planted(found, 150)) == 150
    assert all(pair.kind == "near" and 0.5 <= pair.score <= 1 for pair in found.pairs)


def test_distinct_images_raise_no_alarm(textures, make_table):
    assert find_duplicates(make_table(textures)).pairs == []


def test_exact_duplicates_and_their_group(textures, make_table):
    images = [textures[0], textures[1], textures[0], textures[0]]
    table = make_table(
        images,
        content_hash=["x", "y", "x", "x"],
        split=["train", "train", "test", "test"],
        label=[1, 2, 1, 3],
    )
    found = find_duplicates(table)
    assert [(p.key_a, p.key_b, p.kind, p.score) for p in found.pairs] == [
        ("00000", "00002", "exact", 1.0),
        ("00000", "00003", "exact", 1.0),
    ]
    assert found.groups == [Group(("00000", "00002", "00003"), ("test", "train"), (1, 3))]


def test_order_of_rows_makes_no_difference(textures, copy, make_table):
    table = make_table(textures[:20] + [copy(image) for image in textures[:20]])
    mixed = table.take(np.random.default_rng(0).permutation(len(table)))
    assert find_duplicates(mixed) == find_duplicates(table)


def test_blank_images_are_duplicates_of_those_as_bright(textures, make_table):
    random = np.random.default_rng(0)
    bright = [(200 + random.integers(0, 2, (32, 32))).astype(np.uint8) for _ in range(50)]
    black = [np.zeros((32, 32), np.uint8)] * 3
    found = find_duplicates(make_table([*bright, *black, textures[0]]))
    assert [len(group.keys) for group in found.groups] == [50, 3]
    assert len(found.pairs) == 49 + 2


def test_nothing_at_all(make_table):
    import pyarrow as pa

    columns = ["key", "split", "content_hash"]
    schema = pa.schema(
        [(n, pa.string()) for n in columns] + [("label", pa.int32()), ("fingerprint", pa.binary())]
    )
    found = find_duplicates(schema.empty_table())
    assert found.pairs == []
    assert found.groups == []


def test_connected():
    assert connected([(5, 3), (1, 2), (3, 9), (2, 1)]) == [[1, 2], [3, 5, 9]]
