"""Statistics documents of made-up data. Import through sys.path (see conftest)."""

import numpy as np

from conveyor.components.statistics_gen.sketch import Sketch


def summary(values):
    return Sketch().add(np.asarray(values, np.float64)).describe(10)


def split(cat=50, dog=50, width=(20, 30), height=(10, 12), brightness=(90, 110), unlabelled=0, **more):
    """The statistics of a split; each pair is the extremes that numbers lie evenly between."""
    examples = cat + dog + unlabelled
    even = {"width": width, "height": height, "bytes": (70, 2_000_000), "brightness": brightness}
    return {
        "examples": examples,
        "classes": {"cat": cat, "dog": dog},
        "formats": {"PNG": examples},
        "modes": {"L": examples},
        **{name: summary(np.linspace(*ends, max(examples, 2))) for name, ends in even.items()},
        **more,
    }


def objects(cells=90, nuclei=10, images=20, empty=0, most=6, least=2, size=(10, 40)):
    """The part of a document about objects."""
    count = cells + nuclei
    per_image = np.r_[np.zeros(empty), np.full(images - empty - 2, count / images), [least, most]]
    return {
        "count": count,
        "empty_images": empty,
        "classes": {"cell": cells, "nucleus": nuclei},
        "per_image": summary(per_image),
        "size": summary(np.linspace(*size, count)),
        "aspect": summary(np.linspace(0.5, 2, count)),
    }


def statistics(**changed):
    return {"train": split(), "validation": split(), "test": split(), **changed}


def brief(anomalies):
    return [(one["kind"], one["severity"], one["split"]) for one in anomalies]
