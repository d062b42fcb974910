"""The embedded digits: 1,797 scans of handwritten digits that come with scikit-learn.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (its test part; CC BY 4.0). 8x8 pixels of 17 grey levels, here as 32x32 PNGs.
"""

import functools
import io
import pathlib
from collections.abc import Iterator

from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import cut
from conveyor.pipeline.digest import digest_of
from conveyor.pipeline.errors import UserError

SIZE = 32


class DigitsReader:
    """Reads the embedded digits.

    Args:
        argument: Must be empty: there is nothing to choose.
    """

    annotations: frozenset[str] = frozenset({"label"})

    def __init__(self, argument: str = ""):
        if argument:
            raise UserError("data.source: digits takes no argument", received=f"digits:{argument}")

    def classes(self) -> list[str]:
        return [str(digit) for digit in range(10)]

    def splits(self) -> set[str]:
        return set()

    def fingerprint(self, workspace: pathlib.Path) -> str:
        del workspace
        return digest_of({"digits": SIZE})

    def chunks(self) -> list[range]:
        return cut(range(1797))  # type: ignore[return-value]

    def read(self, chunk: range) -> Iterator[RawExample]:
        import numpy as np
        import PIL.Image

        scans, labels = _load()
        for index in chunk:
            # 17 grey levels onto 0..255
            pixels = np.round(scans[index] * (255 / 16)).astype(np.uint8)
            image = PIL.Image.fromarray(pixels).resize((SIZE, SIZE), PIL.Image.Resampling.BICUBIC)
            file = io.BytesIO()
            image.save(file, "PNG")
            yield RawExample(f"{index:04d}.png", str(labels[index]), "", file.getvalue())


@functools.cache
def _load():
    import sklearn.datasets

    bunch = sklearn.datasets.load_digits()
    return bunch.images, bunch.target
