"""Which split an example belongs to.

Examples are told apart by their unit: the group the source gives them, or else their content. All of a
unit have the same position in [0, 1), a hash, so that they are never in two splits.
"""

import collections
import hashlib
import itertools
import typing
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from conveyor.components.example_gen.settings import SplitSettings
from conveyor.components.leaks.duplicates import connected

STRATA = ("key", "group", "content_hash", "source_split", "label", "objects", "mask_pixels")
LEAKS = ("key", "label", "group", "content_hash", "fingerprint")
# Of splits that claim the same: what is tested must not be learned.
_CLAIM = ("test", "validation", "train")


def assign(source_split: str, content_hash: str, source_splits: set[str], shares: SplitSettings) -> str:
    """Returns the split of an example.

    It depends on the example's own content and on nothing else, so adding data never moves an
    example, and exact copies of an image are never in two splits.

    Args:
        source_split: Its split at the source; "" where the source has none.
        content_hash: Hexadecimal digest of its bytes, or of its group.
        source_splits: The splits that the source has.
        shares: Share of each split. What the source lacks is taken from its training split.
    """
    if source_split not in _pool(shares):
        return source_split
    position = _position(content_hash)
    edge = 0.0
    for name, share in _wanted(source_splits, shares):
        edge += share
        if position < edge:
            return name
    if shares.folds and int(content_hash[16:32], 16) % shares.folds == shares.fold:
        return "validation"
    return "train"


def unit_of(group: str, content_hash: str) -> str:
    """Returns what tells the unit of an example, as a hexadecimal digest."""
    return hashlib.sha256(group.encode()).hexdigest() if group else content_hash


def _position(content_hash: str) -> float:
    return int(content_hash[:16], 16) / 2**64


def _pool(shares: SplitSettings) -> tuple[str, ...]:
    """Returns the splits of the source whose examples are to be given a split."""
    return ("", "train", "validation") if shares.folds else ("", "train")


def _wanted(source_splits: set[str], shares: SplitSettings) -> list[tuple[str, float]]:
    """Returns the splits to make, with their shares; not the training split, which takes the rest."""
    names = ("test",) if shares.folds else ("validation", "test")
    return [(name, getattr(shares, name)) for name in names if name not in source_splits]


class Splitter:
    """Assigns examples by content.

    Args:
        source_splits: The splits that the source has.
        shares: Share of each split.
    """

    def __init__(self, source_splits: set[str], shares: SplitSettings):
        self.source_splits = source_splits
        self.shares = shares

    def assign(self, facts: dict[str, typing.Any]) -> str:
        """Returns the split of an example with these facts."""
        unit = unit_of(facts["group"], facts["content_hash"])
        return assign(facts["source_split"], unit, self.source_splits, self.shares)

    def stratify(self, table: pa.Table) -> dict[str, str]:
        """Returns key -> split such that each class has the same shares in all splits.

        Units of a class are taken in the order of their positions, until the share is reached. The
        class of a unit with several is the rarest of them, so that no split lacks it.

        Args:
            table: The facts `STRATA`.
        """
        rows = [row for row in table.to_pylist() if row["source_split"] in _pool(self.shares)]
        classes = {row["key"]: _classes_of(row) for row in rows}
        counts = collections.Counter(name for found in classes.values() for name in found)
        units: dict[str, list[str]] = collections.defaultdict(list)
        for row in rows:
            units[unit_of(row["group"], row["content_hash"])].append(row["key"])
        strata: dict[int, list[str]] = collections.defaultdict(list)
        for unit, keys in units.items():
            present = {name for key in keys for name in classes[key]}
            strata[min(present, key=lambda name: (counts[name], name), default=-1)].append(unit)
        turns = itertools.count()  # one stratum goes on with the fold that the last one came to
        return {
            key: split
            for _, members in sorted(strata.items())
            for unit, split in self._deal(sorted(members), units, turns)
            for key in units[unit]
        }

    def _deal(
        self, ordered: list[str], units: dict[str, list[str]], turns: Iterator[int]
    ) -> Iterator[tuple[str, str]]:
        """Yields each unit of a stratum with its split."""
        total = sum(len(units[unit]) for unit in ordered)
        wanted = _wanted(self.source_splits, self.shares)
        dealt, edge = 0, 0.0
        edges = [(name, edge := edge + share * total) for name, share in wanted]
        for unit in ordered:
            size = len(units[unit])
            # the split in which most of the unit lies, on a line of the stratum's examples
            split = next((name for name, end in edges if dealt + size / 2 < end), "train")
            dealt += size
            if split == "train" and self.shares.folds:
                split = "validation" if next(turns) % self.shares.folds == self.shares.fold else "train"
            yield unit, split


def _classes_of(row: dict[str, typing.Any]) -> set[int]:
    """Returns the classes of an image: its own, those of its objects, those of its pixels but the first."""
    own = {row["label"]} if row["label"] >= 0 else set()
    inside = {index for index, count in enumerate(row["mask_pixels"][:-1]) if count and index}
    return own or {found["label"] for found in row["objects"]} or inside


def gather(table: pa.Table, duplicates: Iterable[Sequence[str]]) -> dict[str, str]:
    """Returns key -> split of the examples to move, so that nothing is on both sides of a split.

    Args:
        table: Facts `key`, `group`, and `split`.
        duplicates: Keys of images that are the same.

    Returns:
        Examples connected by duplicates or groups go to that split of test, validation and train which
        comes first among theirs.
    """
    keys, splits = table["key"].to_pylist(), table["split"].to_pylist()
    places = {key: place for place, key in enumerate(keys)}
    links = [(places[a], places[b]) for group in duplicates for a, b in itertools.pairwise(group)]
    first: dict[str, int] = {}
    for place, group in enumerate(table["group"].to_pylist()):
        if group and first.setdefault(group, place) != place:
            links.append((first[group], place))
    moves: dict[str, str] = {}
    for members in connected(links):
        target = min((splits[member] for member in members), key=_claim)
        moves |= {keys[member]: target for member in members if splits[member] != target}
    return moves


def _claim(split: str) -> tuple[int, str]:
    return _CLAIM.index(split) if split in _CLAIM else len(_CLAIM), split
