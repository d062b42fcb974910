"""Embedded data for every task: pictures that are made of real digit scans, the same every time.

- `digit_scenes`: 1 to 5 digits in colour on a textured background, with boxes, exact outlines and a mask
  of class indices (0 background, 1 + digit). Where digits overlap, outline, box and mask are of what is
  seen. Options: `digit_scenes:scenes,count=600,size=96`.
- `digit_scenes:R`, `:RTS`, `:P`, `:E`: one digit, rotated; rotated, scaled and moved; projected; bent; with
  its class. See distortions.py. Option: `digit_scenes:R,count=6000`.

Of ten images in a row seven are for training, one for validation and two for testing. The scans are
shared out in the same proportions, so that no scan is in two splits, and in the order they come in, so
that most writers are in one split only. An image depends on its variant, size and number alone: a larger
count adds images and changes none.
"""

import io
import pathlib
import re
from collections.abc import Iterator

from conveyor.components.example_gen.readers.raw import RawExample, RawObject
from conveyor.components.example_gen.readers.reader import cut
from conveyor.pipeline.digest import digest_of
from conveyor.pipeline.errors import UserError, did_you_mean

USAGE = "digit_scenes, or digit_scenes:VARIANT[,count=N][,size=PIXELS] with scenes, R, RTS, P or E"
VARIANTS = ("scenes", "R", "RTS", "P", "E")  # the place of one is part of its images' seeds
# Of ten images in a row: how many are in a split, and how many come before them.
_SHARES = {"train": (7, 0), "validation": (1, 7), "test": (2, 8)}
_SPLIT_OF = [split for split, (share, _) in _SHARES.items() for _ in range(share)]
_LIMITS = {"count": (10, 1_000_000), "size": (48, 1024)}


class DigitScenesReader:
    """Makes pictures of the embedded digits.

    Args:
        argument: VARIANT and options, see above; "" for scenes.

    Raises:
        UserError: There is no such variant or option, or a number is out of its range.
    """

    def __init__(self, argument: str = ""):
        variant, *options = [part.strip() for part in argument.split(",")]
        self.variant = variant or "scenes"
        if self.variant not in VARIANTS:
            raise UserError(
                f"data.source: digit_scenes has no variant {variant!r}",
                expected=USAGE,
                fix=did_you_mean(variant, VARIANTS),
            )
        self._has_scenes = self.variant == "scenes"
        chosen = {"count": 600, "size": 96} if self._has_scenes else {"count": 6000}
        for option in options:
            chosen.update([_parse(option, list(chosen))])
        self.count, self.size = chosen["count"], chosen.get("size", 0)
        self.annotations = frozenset({"objects", "mask"} if self._has_scenes else {"label"})

    def classes(self) -> list[str]:
        return [str(digit) for digit in range(10)]  # those of pixels are background and then these

    def splits(self) -> set[str]:
        return set(_SHARES)

    def fingerprint(self, workspace: pathlib.Path) -> str:
        del workspace
        return digest_of({"digit_scenes": self.variant, "count": self.count, "size": self.size})

    def chunks(self) -> list[range]:
        return cut(range(self.count))  # type: ignore[return-value]

    def read(self, chunk: range) -> Iterator[RawExample]:
        return map(self._scene if self._has_scenes else self._distorted, chunk)

    def _scene(self, index: int) -> RawExample:
        import numpy as np

        from conveyor.components.example_gen.readers.distortions import load_frames
        from conveyor.components.example_gen.readers.scenes import draw_scene, run_lengths, tight_box

        frames, labels = load_frames()
        split = _SPLIT_OF[index % 10]
        scans = _scans(split, len(frames))
        scene = draw_scene(self._rng(index), self.size, frames[scans], labels[scans])
        objects = []
        for number, digit in enumerate(scene.digits, 1):
            seen = scene.owner == number
            objects.append(RawObject(str(digit), tight_box(seen), segmentation=run_lengths(seen)))
        indices = np.array([0, *(digit + 1 for digit in scene.digits)], np.uint8)[scene.owner]
        picture = _png(scene.pixels, compress_level=0)  # twice as large, but faster to write and to read
        return RawExample(_key(index), "", split, picture, objects=tuple(objects), mask=_png(indices))

    def _distorted(self, index: int) -> RawExample:
        import numpy as np

        from conveyor.components.example_gen.readers.distortions import draw, load_frames, warp

        frames, labels = load_frames()
        split = _SPLIT_OF[index % 10]
        scans = range(len(frames))[_scans(split, len(frames))]
        share, before = _SHARES[split]
        scan = scans[(index // 10 * share + index % 10 - before) % len(scans)]  # each as often as any
        picture = warp(frames[scan], draw(self.variant, self._rng(index)))
        pixels = np.rint(picture * 255).astype(np.uint8)
        return RawExample(_key(index), str(labels[scan]), split, _png(pixels))

    def _rng(self, index: int):
        import numpy as np

        return np.random.default_rng([VARIANTS.index(self.variant), index])


def _parse(option: str, names: list[str]) -> tuple[str, int]:
    """Returns name and value of an option such as "count=600"."""
    match = re.fullmatch(r"(\w+)\s*=\s*([0-9]{1,9})", option)
    if not match or match[1] not in names:
        raise UserError(
            "data.source: digit_scenes does not know this option",
            expected=USAGE,
            received=option,
            fix=did_you_mean(option.partition("=")[0].strip(), names),
        )
    name, value = match[1], int(match[2])
    low, high = _LIMITS[name]
    if not low <= value <= high:
        raise UserError(
            f"data.source: {name} of digit_scenes is out of its range",
            expected=f"{low} to {high}",
            received=option,
        )
    return name, value


def _scans(split: str, total: int) -> slice:
    """Returns which of the scans a split's images are made of."""
    share, before = _SHARES[split]
    return slice(before * total // 10, (before + share) * total // 10)


def _key(index: int) -> str:
    return f"{index:06d}.png"


def _png(pixels, compress_level: int = 1) -> bytes:
    import PIL.Image

    file = io.BytesIO()
    # zlib's Z_RLE, which looks for runs only
    PIL.Image.fromarray(pixels).save(file, "PNG", compress_level=compress_level, compress_type=3)
    return file.getvalue()
