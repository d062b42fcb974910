"""How the measures of the statistics are shown: what each is called, its unit, and what to look for."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Measure:
    """One number that images or objects have.

    Args:
        key: Its name in the statistics.
        title: Heading of its chart.
        unit: Label of its axis.
        advice: What to look for.
    """

    key: str
    title: str
    unit: str
    advice: str


IMAGES = (
    Measure(
        "width", "Image width", "pixels", "Images far from the rest change most where all become one size."
    ),
    Measure(
        "height", "Image height", "pixels", "Splits that differ here were taken or cut in different ways."
    ),
    Measure("aspect", "Image aspect", "width / height", "1 is square; more is wide, less is tall."),
    Measure(
        "bytes", "File size", "bytes", "Few bytes for many pixels: a flat picture, or one compressed hard."
    ),
    Measure(
        "brightness",
        "Brightness",
        "mean luma, 0 to 255",
        "Near 0 is black, near 255 is white: such images may show nothing.",
    ),
    Measure(
        "sharpness",
        "Sharpness",
        "standard deviation of the Laplacian",
        "Low is blurred or flat, high is sharp or noisy.",
    ),
)
OBJECTS = (
    Measure("per_image", "Objects per image", "objects", "A detector must have room for the largest number."),
    Measure(
        "size",
        "Object size",
        "square root of the area, pixels",
        "COCO calls objects below 32 small and those above 96 large.",
    ),
    Measure(
        "relative_size",
        "Object size in its image",
        "square root of the share of the image",
        "1 fills the image; this is what is left of the size when images are resized.",
    ),
    Measure("aspect", "Object aspect", "width / height of the box", "Anchors must cover this range."),
)
CLASSES = (
    Measure("width", "Image width by class", "pixels", "A class with a size of its own can be told by that."),
    Measure(
        "brightness",
        "Brightness by class",
        "mean luma, 0 to 255",
        "A class that is darker or brighter than all others can be told by the light alone.",
    ),
)
OBJECT_CLASSES = (
    Measure(
        "size",
        "Object size by class",
        "square root of the area, pixels",
        "A class of small objects needs a large input.",
    ),
    Measure("aspect", "Object aspect by class", "width / height of the box", "Classes far from 1 are long."),
)
