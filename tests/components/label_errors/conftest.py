import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import sklearn.datasets
from small_images import encode

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.records import serialize, write_record
from conveyor.components.facts import FACTS
from conveyor.components.leaks.fingerprint import fingerprint


def row_of(key, image, label=-1, group="", objects=(), mask=None, classes=2):
    """The facts about an image, as ingestion would state them."""
    pixels = image.reshape(-1, 1 if image.ndim == 2 else 3).astype(np.int64)
    grey = image if image.ndim == 2 else image.mean(2).astype(np.uint8)
    counts = [] if mask is None else np.bincount(mask.ravel(), minlength=256)[[*range(classes), 255]].tolist()
    return {
        "key": key,
        "label": label,
        "group": group,
        "width": image.shape[1],
        "height": image.shape[0],
        "bytes": 1,
        "format": "PNG",
        "mode": "L" if image.ndim == 2 else "RGB",
        "brightness": float(grey.mean()),
        "sharpness": 0.0,
        "pixel_sum": pixels.sum(0).tolist(),
        "pixel_square_sum": (pixels**2).sum(0).tolist(),
        "content_hash": hashlib.sha256(image.tobytes()).hexdigest()[:32],
        "fingerprint": fingerprint(grey),
        "objects": list(objects),
        "mask_pixels": counts,
    }


def object_of(label, x1, y1, x2, y2, crowd=False):
    sides = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return {"label": label, **sides, "area": 0.0, "crowd": crowd, "difficult": False}


@pytest.fixture
def make_examples(tmp_path):
    """Builds an artifact of images, each a dict of what `row_of` takes."""

    def make(images, classes, annotations, shards=2, folder="examples"):
        examples = Examples(tmp_path / folder)
        for path in (examples.dataset_dir, examples.facts_dir):
            path.mkdir(parents=True)
        for shard in range(shards):
            part, rows = images[shard::shards], []
            name = f"examples-train.tfrecord-{shard:05d}-of-{shards:05d}"
            with open(examples.dataset_dir / name, "wb") as file:
                for image in part:
                    features = {"image": encode(image["image"]), "id": image["key"].encode()}
                    if "mask" in image:
                        features["segmentation_mask"] = encode(image["mask"])
                    write_record(file, serialize(features))
                    rows.append(row_of(**image, classes=len(classes)))
            table = pa.Table.from_pylist(rows, FACTS)
            pyarrow.parquet.write_table(table, examples.facts_dir / f"train-{shard:05d}.parquet")
        examples.properties.update(
            splits={"train": len(images)},
            classes=classes,
            mask_classes=classes if "mask" in annotations else [],
            annotations=annotations,
        )
        return examples

    return make


def plant(labels, share, seed=0):
    """Returns labels of which some are those of other classes, and which."""
    random = np.random.default_rng(seed)
    wrong = random.choice(len(labels), round(share * len(labels)), replace=False)
    spoilt = np.array(labels)
    spoilt[wrong] = (spoilt[wrong] + random.integers(1, 10, len(wrong))) % 10
    return spoilt, wrong


@pytest.fixture(scope="session")
def digits():
    """800 digits of 8x8 pixels with 5% wrong labels: images as `make_examples` takes them, wrong keys."""
    data = sklearn.datasets.load_digits()
    images = (data.images[:800] * 15.9).astype(np.uint8)
    labels, wrong = plant(data.target[:800], 0.05)
    rows = [
        {"key": f"{number:04d}", "image": image, "label": int(label)}
        for number, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    return rows, {f"{number:04d}" for number in wrong}
