"""Which mask goes with which image, by their names."""

import dataclasses
import os
from collections.abc import Iterator, Sequence

from conveyor.components.example_gen.readers.files import Listing
from conveyor.components.example_gen.readers.names import SPLITS, is_image, printable
from conveyor.pipeline.errors import UserError

_IMAGES = ("images", "JPEGImages")
_MASKS = ("masks", "labels", "annotations", "SegmentationClass")
_ENDINGS = ("_mask", "-mask", "_label")


@dataclasses.dataclass(frozen=True)
class Pair:
    """What the listing knows: a pair, or what it lacks.

    Args:
        image: Relative path; "" where there is none.
        mask: Relative path; "" where there is none.
        split: The split it is in; "" for none.
        reason: A key of `REASONS` where it cannot be read.
        error: Why it cannot.
    """

    image: str
    mask: str
    split: str
    reason: str = ""
    error: str = ""

    @property
    def key(self) -> str:
        return self.image or self.mask


def find_pairs(listing: Listing) -> list[Pair]:
    """Returns images with their masks, and what is left over of either.

    Raises:
        UserError: Some folders with images are splits and others are not.
    """
    found: list[Pair] = []
    for root, split in _roots(listing):
        images, masks = (_listed(listing, _folder_of(listing, root, names)) for names in (_IMAGES, _MASKS))
        found += _paired(images, masks, split)
    return found


def _roots(listing: Listing) -> list[tuple[str, str]]:
    """Returns each directory that holds images and masks, with its split."""
    inner = [name for name in listing.folders() if _folder_of(listing, name, _IMAGES)]
    flat = bool(_folder_of(listing, "", _IMAGES))
    if odd := [name for name in inner if flat or name.lower() not in SPLITS]:
        raise UserError(
            "data.source: some folders with images are no splits",
            expected="images and masks in the folder, or in split folders such as train and val, not in both",
            received=", ".join(map(printable, odd)),
            where=printable(listing.root),
        )
    return [("", "")] if flat else [(name, SPLITS[name.lower()]) for name in inner]


def _folder_of(listing: Listing, root: str, names: Sequence[str]) -> str:
    """Returns the first of some folders in a folder; "" for none."""
    return next((os.path.join(root, name) for name in names if name in listing.folders(root)), "")


def _listed(listing: Listing, folder: str) -> dict[str, str]:
    """Returns path -> path below a folder without suffix, of all pictures there."""
    paths = [path for path in listing.walk(folder) if is_image(path)] if folder else []
    return {path: os.path.relpath(os.path.splitext(path)[0], folder) for path in paths}


def _paired(images: dict[str, str], masks: dict[str, str], split: str) -> Iterator[Pair]:
    """Yields images with their masks, and what is left over of either."""
    stems: dict[str, str] = {}
    for image, stem in images.items():
        if stems.setdefault(stem, image) != image:
            error = f"{printable(stems[stem])} has the same name but for the suffix"
            yield Pair(image, "", split, "duplicate_file", error)
    in_splits = {stem.split(os.sep)[0].lower() for stem in stems} <= SPLITS.keys()
    chosen: dict[str, str] = {}
    left = dict.fromkeys(masks)
    for exact in (True, False):  # a mask of the very name goes before one with an ending
        for mask in list(left):
            image_stem = masks[mask] if exact else _without_ending(masks[mask])
            if image_stem in stems and image_stem not in chosen:
                chosen[image_stem] = mask
                del left[mask]
    for stem, image in stems.items():
        own = SPLITS[stem.split(os.sep)[0].lower()] if in_splits and os.sep in stem else split
        reason = "" if stem in chosen else "missing_annotation"
        yield Pair(image, chosen.get(stem, ""), own, reason, "there is no mask of its name" if reason else "")
    for mask in left:
        rival = chosen.get(masks[mask], chosen.get(_without_ending(masks[mask]), ""))
        reason = "duplicate_file" if rival else "missing_image"
        error = f"its image has the mask {printable(rival)}" if rival else "there is no image of its name"
        yield Pair("", mask, split, reason, error)


def _without_ending(stem: str) -> str:
    return next((stem.removesuffix(ending) for ending in _ENDINGS if stem.endswith(ending)), stem)
