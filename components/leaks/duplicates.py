"""Duplicates in a table of examples, and the groups they form."""

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from conveyor.components.leaks.confirm import LIMIT, doubts, score
from conveyor.components.leaks.fingerprint import HEADER, SIZE, sizes, stack
from conveyor.components.leaks.screen import LIMIT as SCREEN_LIMIT
from conveyor.components.leaks.screen import distances, is_flat
from conveyor.components.leaks.search import candidates

BATCH_BYTES = 32 << 20  # of grey pixels held at a time
_SIDE = 128  # pixels; what larger images are expected to be reduced to
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


def find_duplicates(
    table: pa.Table, pixels: Callable[[Sequence[str]], Mapping[str, np.ndarray]]
) -> Duplicates:
    """Finds examples whose images are exact or near duplicates.

    Fingerprints find pairs that may be, pixels tell which are. Of n images with the same content, or the
    same fingerprint, only the n - 1 pairs with the first are looked at, enough to connect them. Images
    of one colour are duplicates if it is the same; others that are nearly so are not compared.

    Args:
        table: Columns `key` (unique), `split`, `label`, `group`, `content_hash` and `fingerprint`, in any
            order of rows, which makes no difference.
        pixels: Returns the grey images, [height, width] uint8, reduced to some size where they are
            large, of the examples named; called with at most `BATCH_BYTES` of them at a time.
    """
    order = pc.sort_indices(table.column("key"))
    prints = _fingerprints(table.column("fingerprint"), order.to_numpy())
    table = table.select(["key", "split", "label", "content_hash"]).take(order)
    keys = table.column("key").to_pylist()
    exact, rows = _identical(table.column("content_hash").to_pylist(), np.arange(len(table)))
    same, rows = _identical([_print_of(prints[row]) for row in rows], rows)
    likely = sorted(set(same) | _likely(prints, rows))
    pairs = dict.fromkeys(exact, ("exact", 1.0))
    for batch in _batches(likely, prints):
        images = pixels([keys[row] for row in sorted({row for pair in batch for row in pair})])
        doubt = doubts([(images[keys[a]], images[keys[b]]) for a, b in batch])
        copies = np.flatnonzero(doubt <= LIMIT).tolist()
        pairs.update((batch[place], ("near", score(doubt[place]))) for place in copies)
    listed = [Pair(keys[a], keys[b], kind, round(float(value), 4)) for (a, b), (kind, value) in pairs.items()]
    splits, labels = table.column("split").to_pylist(), table.column("label").to_pylist()
    groups = [_group(members, keys, splits, labels) for members in connected(list(pairs))]
    return Duplicates(sorted(listed), sorted(groups, key=lambda group: group.keys))


def _fingerprints(column: pa.ChunkedArray, order: np.ndarray) -> np.ndarray:
    """Returns the fingerprints in the order asked for: [n, SIZE] uint8."""
    found = np.empty((len(column), SIZE), np.uint8)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    for start in range(0, len(column), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[places[part]] = stack(column.slice(start, _CHUNK).to_pylist())
    return found


def _identical(contents: list, rows: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Pairs each row with the first of the same content; returns the pairs, and the first ones."""
    first: dict[object, int] = {}
    found = []
    for content, row in zip(contents, rows.tolist(), strict=True):
        if (known := first.setdefault(content, row)) != row:
            found.append((known, row))
    return found, np.array(list(first.values()), np.int64)


def _print_of(fingerprint: np.ndarray) -> bytes:
    """Returns what is the same for the same images; of those of one colour, whatever their size."""
    thumbnail = fingerprint[HEADER:]
    same = fingerprint if np.ptp(thumbnail) else thumbnail[:1]
    return hashlib.sha256(same.tobytes()).digest()


def _likely(prints: np.ndarray, rows: np.ndarray) -> set[tuple[int, int]]:
    """Returns the pairs among `rows`, the lower first, whose thumbnails are alike."""
    if len(rows) != len(prints):
        prints = prints[rows]
    flat = is_flat(prints)
    if flat.any():
        prints, rows = prints[~flat], rows[~flat]
    found: set[tuple[int, int]] = set()
    for shift, pairs in candidates(prints):
        near = rows[pairs[distances(prints, pairs, shift) <= SCREEN_LIMIT]]
        found.update(map(tuple, np.sort(near, axis=1).tolist()))
    return found


def _batches(pairs: list[tuple[int, int]], prints: np.ndarray) -> Iterator[list[tuple[int, int]]]:
    """Yields pairs with at most `BATCH_BYTES` of images; those that hang together one after another."""
    place = {row: number for number, rows in enumerate(connected(pairs)) for row in rows}
    weights = np.minimum(sizes(prints), _SIDE).prod(1)
    batch: list[tuple[int, int]] = []
    held: set[int] = set()
    room = BATCH_BYTES
    for pair in sorted(pairs, key=lambda pair: (place[pair[0]], pair)):
        needed = sum(int(weights[row]) for row in set(pair) - held)
        if batch and needed > room:
            yield batch
            batch, held, room = [], set(), BATCH_BYTES
            needed = sum(int(weights[row]) for row in pair)
        batch.append(pair)
        held.update(pair)
        room -= needed
    if batch:
        yield batch


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
