"""Duplicates in a table of examples, and the groups they form."""

import collections
import dataclasses
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conveyor.components.leaks.confirm import LIMIT, doubts, flat_pairs, is_flat, score
from conveyor.components.leaks.fingerprint import SIZE, stack
from conveyor.components.leaks.search import candidates

_CHUNK = 4096  # fingerprints held twice at a time


@dataclasses.dataclass(frozen=True, order=True)
class Pair:
    """Two examples with the same image.

    Args:
        key_a: The one that comes first in order of keys.
        key_b: The other.
        kind: "exact" where the content hashes are equal, else "near".
        score: 1 for exact ones; at least 0.5 for near ones.
    """

    key_a: str
    key_b: str
    kind: str
    score: float


@dataclasses.dataclass(frozen=True)
class Group:
    """Examples connected by pairs.

    Args:
        keys: In order.
        splits: Those touched, in order.
        labels: Those touched, in order.
    """

    keys: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[object, ...]


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """What was found: pairs and groups, both in order of their keys."""

    pairs: list[Pair]
    groups: list[Group]


def find_duplicates(table: pa.Table) -> Duplicates:
    """Finds examples whose images are exact or near duplicates.

    Of n images with the same content, or the same fingerprint, or none but noise in them, n - 1 pairs
    are listed, enough to connect them. Flat images are near duplicates of others as bright; so a
    chain of them may span more. What comes out does not depend on the order of the rows.

    Args:
        table: Columns `key` (unique), `split`, `label`, `content_hash` and `fingerprint`.
    """
    order = pc.sort_indices(table.column("key"))
    prints = _fingerprints(table.column("fingerprint"))[order.to_numpy()]
    table = table.select(["key", "split", "label", "content_hash"]).take(order)
    keys = table.column("key").to_pylist()
    pairs, rows = _identical(table.column("content_hash").to_pylist(), np.arange(len(table)), "exact")
    found, rows = _identical([hashlib.sha256(prints[row]).digest() for row in rows], rows, "near")
    pairs.update(found)
    pairs.update(_near(prints if len(rows) == len(prints) else prints[rows], rows))
    listed = [Pair(keys[a], keys[b], kind, round(value, 4)) for (a, b), (kind, value) in pairs.items()]
    splits, labels = table.column("split").to_pylist(), table.column("label").to_pylist()
    groups = [_group(members, keys, splits, labels) for members in connected(list(pairs))]
    return Duplicates(sorted(listed), sorted(groups, key=lambda group: group.keys))


def _fingerprints(column: pa.ChunkedArray) -> np.ndarray:
    found = np.empty((len(column), SIZE), np.uint8)
    for start in range(0, len(column), _CHUNK):
        found[start : start + _CHUNK] = stack(column.slice(start, _CHUNK).to_pylist())
    return found


_Found = dict[tuple[int, int], tuple[str, float]]


def _identical(contents: list, rows: np.ndarray, kind: str) -> tuple[_Found, np.ndarray]:
    """Links each row to the first of the same content; returns the links, and the first ones."""
    first: dict[object, int] = {}
    found: _Found = {}
    for content, row in zip(contents, rows.tolist(), strict=True):
        if (known := first.setdefault(content, row)) != row:
            found[known, row] = (kind, 1.0)
    return found, np.array(list(first.values()), np.int64)


def _near(prints: np.ndarray, rows: np.ndarray) -> _Found:
    flat = is_flat(prints)
    found: _Found = {}
    for a, b in rows[flat_pairs(prints, np.flatnonzero(flat))].tolist():
        found[min(a, b), max(a, b)] = ("near", 1.0)
    if flat.any():
        prints, rows = prints[~flat], rows[~flat]
    for shift, pairs in candidates(prints):
        doubt = doubts(prints, pairs, shift)
        sure = doubt <= LIMIT
        for (a, b), value in zip(rows[pairs[sure]].tolist(), score(doubt[sure]).tolist(), strict=True):
            pair = (min(a, b), max(a, b))
            found[pair] = max(found.get(pair, ("near", 0.0)), ("near", value))
    return found


def connected(pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Returns the groups that pairs connect, each in order.

    Source: Tarjan, "Efficiency of a Good But Not Linear Set Union Algorithm", JACM 1975.
    """
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    groups = collections.defaultdict(list)
    for node in sorted(parent):
        groups[root(node)].append(node)
    return list(groups.values())


def _group(members: list[int], keys: list[str], splits: list[str], labels: list) -> Group:
    return Group(
        tuple(sorted(keys[member] for member in members)),
        tuple(sorted({splits[member] for member in members})),
        tuple(sorted({labels[member] for member in members})),
    )
