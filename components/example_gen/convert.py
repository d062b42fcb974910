"""One image as its source gives it, turned into a record and a row of facts; or a reason why not."""

import dataclasses
import hashlib
import io
import typing

import PIL.Image
import PIL.ImageDraw
import PIL.ImageOps

from conveyor.components.example_gen.annotations import MaskError, check_mask, check_objects
from conveyor.components.example_gen.frames import area, is_sideways, run_lengths, turn_mask, turn_object
from conveyor.components.example_gen.images import FORMATS, Measured, RejectedError, contradicts, measure
from conveyor.components.example_gen.readers.raw import WHOLE, Fault, RawExample, RawObject
from conveyor.components.example_gen.records import Value, serialize
from conveyor.components.example_gen.settings import ExampleGenSettings

_PREVIEW_SIDE = 240  # pixels
_FAR = 1e6  # pixels; what is further away cannot be drawn


@dataclasses.dataclass(frozen=True)
class Classes:
    """The names behind numbers.

    Args:
        labels: Of images or objects, in label order.
        mask: Of pixels, in the order of indices.
    """

    labels: list[str]
    mask: list[str]


@dataclasses.dataclass
class Converted:
    """What became of one image.

    Args:
        faults: What is wrong with parts of it; of the image itself where it is set aside.
        facts: Its row; empty where it is set aside.
        record: The serialised example.
        as_is: Whether the source's own image and annotations can be used as they are.
    """

    faults: list[Fault]
    facts: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    record: bytes = b""
    as_is: bool = False


class Converter:
    """Turns images of a source into examples.

    Args:
        annotations: What the source knows of an image: "label", "objects", "mask".
        classes: Names of classes.
        settings: Limits and policy.
    """

    def __init__(self, annotations: frozenset[str], classes: Classes, settings: ExampleGenSettings):
        self.annotations = annotations
        self.classes = classes
        self.settings = settings
        self.labels = {name: label for label, name in enumerate(classes.labels)}

    def convert(self, raw: RawExample) -> Converted:
        """Returns the example, or the reason why there is none."""
        try:
            return self._convert(raw)
        except RejectedError as no:
            return Converted([Fault(no.reason, no.detail, "", "set_aside")])

    def _convert(self, raw: RawExample) -> Converted:
        if raw.data is None:
            raise RejectedError(raw.reason, raw.error)
        faults = [_with_action(fault) for fault in raw.faults]
        if "label" in self.annotations:
            self._check_label(raw)
        image = measure(raw.data, self.settings.max_pixels, self.settings.measure_side)
        if contradicts(raw.key, image.format):
            detail = f"the content is {image.format}"
            faults.append(_by_policy("wrong_extension", detail, self.settings.policy.wrong_extension))
        sideways = False
        try:
            sideways = is_sideways(raw.size, image)
        except ValueError as error:
            faults.append(self._other_size(str(error)))
        features: dict[str, Value] = {"image": image.data, "id": raw.key.encode()}
        facts = _image_facts(raw, image)
        if "label" in self.annotations:
            features["label"] = facts["label"] = self.labels[raw.label]
        if "objects" in self.annotations:
            objects = [_placed(found, image, sideways) for found in raw.objects or ()]
            usable, wrong = check_objects(
                objects, self.labels, image.width, image.height, self.settings.policy
            )
            rows, unclear = self._object_rows(usable, image)
            faults += wrong + unclear
            features |= _object_features(rows, image)
            facts["objects"] = rows
        if "mask" in self.annotations:
            mask = raw.mask or b""
            size = (image.height, image.width) if sideways else (image.width, image.height)
            facts["mask_pixels"] = self._mask_pixels(mask, *size)
            features["segmentation_mask"] = turn_mask(mask, image) if sideways else mask
        as_is = image.data is raw.data and all(fault.action == "kept" for fault in faults)
        return Converted(faults, facts, serialize(features), as_is)

    def _check_label(self, raw: RawExample) -> None:
        if raw.faults and raw.objects is None:  # they are about label or split: neither can be trusted
            raise RejectedError(raw.faults[0].reason, raw.faults[0].detail)
        if raw.label not in self.labels:
            raise RejectedError("unknown_class", f"class {raw.label!r}")

    def _other_size(self, detail: str) -> Fault:
        if "mask" in self.annotations:
            raise RejectedError("mask_size", detail)
        return _by_policy("image_size", detail, self.settings.policy.image_size)

    def _object_rows(
        self, objects: list[RawObject], image: Measured
    ) -> tuple[list[dict[str, typing.Any]], list[Fault]]:
        rows, faults = [], []
        for index, found in enumerate(objects):
            x1, y1, x2, y2 = map(float, found.box)
            inside, counts = (x2 - x1) * (y2 - y1), b""
            if found.segmentation:
                try:
                    rle = run_lengths(found.segmentation, image.width, image.height)
                    if not area(rle):
                        raise ValueError("an outline of no pixel")
                    inside, counts = area(rle), rle["counts"]
                except ValueError as error:
                    field = f"{found.field or f'objects[{index}]'}.segmentation"
                    faults.append(Fault("malformed", str(error), field))
            row = {"label": self.labels[found.label], "x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": inside}
            flags = {"crowd": found.crowd, "difficult": found.difficult}
            rows.append({**row, **flags, "segmentation": counts})
        return rows, faults

    def _mask_pixels(self, mask: bytes, width: int, height: int) -> list[int]:
        try:
            return check_mask(mask, len(self.classes.mask), width, height)
        except MaskError as error:
            raise RejectedError(error.reason, error.detail) from None


def _placed(found: RawObject, image: Measured, sideways: bool) -> RawObject:
    """Returns an object in the frame of the upright image."""
    if found.box == WHOLE:
        return dataclasses.replace(found, box=(0.0, 0.0, float(image.width), float(image.height)))
    return turn_object(found, image) if sideways else found


def _with_action(fault: Fault) -> Fault:
    """A doubtful split, or a listing given twice, is told; a part that cannot be used is dropped."""
    told = fault.field == "split" or fault.reason == "duplicate_file"
    return dataclasses.replace(fault, action="kept" if told else "dropped")


def _by_policy(reason: str, detail: str, policy: str) -> Fault:
    """Returns what is told of an image that is kept nevertheless.

    Raises:
        RejectedError: It is to be set aside.
    """
    if policy == "set_aside":
        raise RejectedError(reason, detail)
    return Fault(reason, detail, "", policy.replace("keep", "kept"))


def _image_facts(raw: RawExample, image: Measured) -> dict[str, typing.Any]:
    return {
        "key": raw.key,
        "label": -1,
        "group": raw.group,
        "source_split": raw.split,
        "width": image.width,
        "height": image.height,
        "bytes": len(image.data),
        "format": image.format,
        "mode": image.mode,
        "brightness": image.brightness,
        "sharpness": image.sharpness,
        "pixel_sum": image.pixel_sum,
        "pixel_square_sum": image.pixel_square_sum,
        "content_hash": hashlib.sha256(raw.data or b"").hexdigest()[:32],
        "fingerprint": image.fingerprint,
        "objects": [],
        "mask_pixels": [],
    }


def _object_features(rows: list[dict[str, typing.Any]], image: Measured) -> dict[str, Value]:
    """Returns the features of objects, as TFDS stores a sequence of dicts."""
    scale = {"y1": image.height, "x1": image.width, "y2": image.height, "x2": image.width}
    return {
        "objects/bbox": [row[side] / length for row in rows for side, length in scale.items()],
        "objects/label": [row["label"] for row in rows],
        "objects/area": [row["area"] for row in rows],
        "objects/is_crowd": [int(row["crowd"]) for row in rows],
        "objects/is_difficult": [int(row["difficult"]) for row in rows],
        "objects/segmentation": [row["segmentation"] for row in rows],
    }


def preview(raw: RawExample, faults: list[Fault], max_pixels: int) -> bytes:
    """Returns a small JPEG of a faulty image with its faulty boxes drawn; b"" where it cannot be shown.

    Args:
        raw: The image.
        faults: What is wrong with it.
        max_pixels: Larger images are not opened.
    """
    try:
        with PIL.Image.open(io.BytesIO(raw.data or b""), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                return b""
            upright = PIL.ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # of many kinds on hostile bytes; that is why it is set aside
        return b""
    small = upright.copy()
    small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    draw = PIL.ImageDraw.Draw(small)
    for fault in faults:
        if fault.box and all(abs(side) < _FAR for side in fault.box):
            xs, ys = (
                sorted(side * new / old for side in sides)
                for sides, new, old in (
                    (fault.box[::2], small.width, upright.width),
                    (fault.box[1::2], small.height, upright.height),
                )
            )
            draw.rectangle((xs[0], ys[0], xs[1], ys[1]), outline=(230, 0, 60), width=2)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return file.getvalue()
