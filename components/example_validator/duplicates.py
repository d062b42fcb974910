"""Anomalies of images that are there twice, and of groups that are in several splits."""

import collections
import functools
import pathlib
from collections.abc import Iterable, Mapping

import pyarrow as pa

from conveyor.components.artifacts import Examples
from conveyor.components.example_images import read_grey, read_images
from conveyor.components.example_validator.anomaly import Anomaly, clip, count_of, list_names, make_anomaly
from conveyor.components.example_validator.pictures import draw_pair
from conveyor.components.facts import read_facts
from conveyor.components.leaks.duplicates import Duplicates, Pair, find_duplicates

_COLUMNS = ("key", "label", "group", "content_hash", "fingerprint")
_DRAWN = 12  # pairs of an anomaly
# Kind, severity (that of the setting where there is none), and what is told of its pairs.
_KINDS = (
    ("leak", "", "are duplicates in different splits"),
    ("label_conflict", "warning", "are duplicates with different labels"),
    ("duplicate", "warning", "are duplicates within one split"),
)


def find_leaks(examples: Examples, severity: str, pictures: pathlib.Path) -> list[Anomaly]:
    """Returns the anomalies of duplicates and groups, with pictures of pairs.

    Args:
        examples: The data.
        severity: Of duplicates, and of groups, in different splits.
        pictures: The folder to write pictures into; its parent is the artifact.
    """
    table = read_facts(examples, _COLUMNS)
    found = find_duplicates(table, functools.partial(read_grey, examples))
    places = _places(table, found.pairs, examples.properties["classes"])
    kinds = sort_pairs(found.pairs, places)
    anomalies = [_describe(kind, kinds[kind], found, places, severity) for kind in kinds]
    _draw(examples, anomalies, list(kinds.values()), places, pictures)
    return [*anomalies, *check_groups(table, severity)]


Place = tuple[str, str]  # split, and name of the label; "" for none


def _places(table: pa.Table, pairs: Iterable[Pair], classes: list[str]) -> dict[str, Place]:
    """Returns where the examples of pairs are."""
    wanted = {key for pair in pairs for key in (pair.key_a, pair.key_b)}
    columns = (table.column(name).to_pylist() for name in ("key", "split", "label"))
    return {
        key: (split, classes[label] if label >= 0 else "")
        for key, split, label in zip(*columns, strict=True)
        if key in wanted
    }


def sort_pairs(pairs: Iterable[Pair], places: Mapping[str, Place]) -> dict[str, list[Pair]]:
    """Returns kind of anomaly -> its pairs, the least alike first; a pair may be of two kinds.

    Args:
        pairs: Duplicates.
        places: Key -> (split, name of the label or "").
    """
    found: dict[str, list[Pair]] = {kind: [] for kind, _, _ in _KINDS}
    for pair in sorted(pairs, key=lambda pair: (pair.score, pair.kind != "near", pair.key_a, pair.key_b)):
        (split_a, label_a), (split_b, label_b) = places[pair.key_a], places[pair.key_b]
        found["duplicate" if split_a == split_b else "leak"].append(pair)
        if label_a and label_b and label_a != label_b:
            found["label_conflict"].append(pair)
    return {kind: listed for kind, listed in found.items() if listed}


def _describe(
    kind: str, pairs: list[Pair], found: Duplicates, places: Mapping[str, Place], severity: str
) -> Anomaly:
    level, meaning = next((level, meaning) for name, level, meaning in _KINDS if name == kind)
    keys = list(dict.fromkeys(key for pair in pairs for key in (pair.key_a, pair.key_b)))
    groups = sum(not set(group.keys).isdisjoint(keys) for group in found.groups)
    exact = sum(pair.kind == "exact" for pair in pairs)
    which = 1 if kind == "label_conflict" else 0
    between = collections.Counter(
        " and ".join(sorted({places[key][which] for key in (pair.key_a, pair.key_b)})) for pair in pairs
    )
    ranked = sorted(between.items(), key=lambda item: (-item[1], item[0]))
    return make_anomaly(
        kind,
        level or severity,
        f"{count_of(len(keys), 'image')} {meaning}",
        f"{count_of(len(pairs), 'pair')} ({exact:,} exact, {len(pairs) - exact:,} near), in"
        f" {count_of(groups, 'group')}, of {count_of(len(keys), 'image')} {meaning}, such as"
        f" {list_names(keys[:2])}. Pairs: "
        + ", ".join(f"{clip(name)} {number:,}" for name, number in ranked[:5])
        + (" …" if len(ranked) > 5 else ""),
        examples=keys,
    )


def _draw(
    examples: Examples,
    anomalies: list[Anomaly],
    pairs: list[list[Pair]],
    places: Mapping[str, Place],
    folder: pathlib.Path,
) -> None:
    """Adds pictures of the first pairs of each anomaly."""
    shown = [listed[:_DRAWN] for listed in pairs]
    keys = sorted({key for listed in shown for pair in listed for key in (pair.key_a, pair.key_b)})
    images = dict(read_images(examples, keys)) if keys else {}
    for anomaly, listed in zip(anomalies, shown, strict=True):
        for number, pair in enumerate(listed):
            file = folder / f"{anomaly['kind']}_{number:03d}.png"
            if draw_pair(file, images[pair.key_a], images[pair.key_b]):
                caption = " | ".join(_caption(key, places[key]) for key in (pair.key_a, pair.key_b))
                anomaly["pictures"].append({"file": f"{folder.name}/{file.name}", "caption": caption})


def _caption(key: str, place: Place) -> str:
    return f"{key} ({', '.join(filter(None, place))})"


def check_groups(table: pa.Table, severity: str) -> list[Anomaly]:
    """Returns an anomaly if examples of one group are in several splits.

    Args:
        table: Columns `key`, `split` and `group` ("" for none).
        severity: What that is.
    """
    splits = collections.defaultdict(set)
    first: dict[tuple[str, str], str] = {}
    columns = (table.column(name).to_pylist() for name in ("key", "split", "group"))
    for key, split, group in zip(*columns, strict=True):
        if group:
            splits[group].add(split)
            first.setdefault((group, split), key)
    torn = sorted(group for group, found in splits.items() if len(found) > 1)
    if not torn:
        return []
    keys = [first[group, split] for group in torn for split in sorted(splits[group])]
    long = (
        f"{len(torn):,} of {count_of(len(splits), 'group')} are in several splits: {list_names(torn)}."
        f" {clip(torn[0])!r} is in {', '.join(sorted(splits[torn[0]]))}"
    )
    short = f"{count_of(len(torn), 'group')} in several splits"
    return [make_anomaly("group_straddles", severity, short, long, examples=keys)]
