"""Which split an example belongs to."""

from conveyor.components.example_gen.settings import SplitSettings


def assign(source_split: str, content_hash: str, source_splits: set[str], shares: SplitSettings) -> str:
    """Returns the split of an example.

    It depends on the example's own content and on nothing else, so adding data never moves an
    example, and exact copies of an image are never in two splits.

    Args:
        source_split: Its split at the source; "" where the source has none.
        content_hash: Hexadecimal digest of its bytes.
        source_splits: The splits that the source has.
        shares: Share of each split. What the source lacks is taken from its training split.
    """
    if source_split not in ("", "train"):
        return source_split
    position = int(content_hash[:16], 16) / 2**64
    edge = 0.0
    for name in ("validation", "test"):
        if name not in source_splits:
            edge += getattr(shares, name)
            if position < edge:
                return name
    return "train"
