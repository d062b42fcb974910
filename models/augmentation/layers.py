"""Layers by name: Keras's, in snake case."""

import difflib
import inspect
import typing

import keras

from conveyor.models.augmentation import geometry
from conveyor.models.augmentation.choice import AugMix, RandAugment, Sometimes
from conveyor.models.augmentation.mixing import CutMix, MixUp
from conveyor.models.augmentation.objects import (
    Mosaic,
    ObjectCrop,
    RandomMosaic,
    RandomObjectCrop,
    RandomScale,
    scale,
)
from conveyor.models.augmentation.steps import Colour, Distortion, Elastic, Equalize, Geometry, Step, chain
from conveyor.models.layers.random_distortion import RandomDistortion

_Arguments = dict[str, typing.Any]
_OURS = {"self", "kwargs", "seed", "data_format", "value_range"}  # arguments that are not for a config
_MOST = 16  # layers that are chosen one after the other
_LEAST = {"num_ops": 1, "num_chains": 1, "chain_depth": 0}
_WORDS: dict[str, set[str]] = {
    "mode": {"horizontal", "vertical", "horizontal_and_vertical"},
    "fill_mode": {"constant", "nearest", "reflect", "wrap"},
    "interpolation": {"nearest", "bilinear"},
    "kind": {"R", "RTS", "P", "E"},
}

COLOURS: dict[str, tuple[type, int | None]] = {  # with the number of channels that they need
    "auto_contrast": (keras.layers.AutoContrast, None),
    "random_brightness": (keras.layers.RandomBrightness, None),
    "random_color_degeneration": (keras.layers.RandomColorDegeneration, 3),
    "random_contrast": (keras.layers.RandomContrast, None),
    "random_erasing": (keras.layers.RandomErasing, None),
    "random_gaussian_blur": (keras.layers.RandomGaussianBlur, None),
    "random_grayscale": (keras.layers.RandomGrayscale, 3),
    "random_hue": (keras.layers.RandomHue, 3),
    "random_invert": (keras.layers.RandomInvert, None),
    "random_posterization": (keras.layers.RandomPosterization, None),
    "random_saturation": (keras.layers.RandomSaturation, 3),
    "random_sharpness": (keras.layers.RandomSharpness, None),
    "solarization": (keras.layers.Solarization, None),
}
GEOMETRIES: dict[str, tuple[type, geometry.Move]] = {
    "random_flip": (keras.layers.RandomFlip, geometry.flip),
    "random_crop": (geometry.RandomCrop, geometry.crop),
    "random_perspective": (keras.layers.RandomPerspective, geometry.perspective),
    "random_rotation": (keras.layers.RandomRotation, geometry.rotation),
    "random_scale": (RandomScale, scale),
    "random_shear": (keras.layers.RandomShear, geometry.shear),
    "random_translation": (keras.layers.RandomTranslation, geometry.translation),
    "random_zoom": (keras.layers.RandomZoom, geometry.zoom),
}
OTHERS: dict[str, type] = {
    "aug_mix": keras.layers.AugMix,
    "cut_mix": keras.layers.CutMix,
    "equalization": keras.layers.Equalization,
    "mix_up": keras.layers.MixUp,
    "rand_augment": keras.layers.RandAugment,
    "random_color_jitter": keras.layers.RandomColorJitter,
    "random_distortion": RandomDistortion,
    "random_mosaic": RandomMosaic,
    "random_object_crop": RandomObjectCrop,
    "random_elastic_transform": keras.layers.RandomElasticTransform,
}
KINDS: dict[str, type] = {
    **{name: kind for name, (kind, _) in (*COLOURS.items(), *GEOMETRIES.items())},
    **OTHERS,
}


def make_layer(name: str, arguments: _Arguments) -> Step:
    """Returns what the Keras layer of a name in snake case does to a batch.

    Args:
        name: Such as "random_flip".
        arguments: Of the layer; and `probability`, with which an image is changed at all.

    Raises:
        ValueError: There is no such layer, or it does not take an argument or its value.
    """
    if name not in KINDS:
        raise ValueError(f"{_nearest(name, KINDS)}. Received: {name}")
    arguments = dict(arguments)
    probability = arguments.pop("probability", 1)
    if type(probability) not in (int, float) or not 0 <= probability <= 1:
        raise ValueError(f"{name}: expected a number in [0, 1]. Received: probability={probability}")
    takes = set(inspect.signature(KINDS[name]).parameters) - _OURS
    if unknown := sorted(set(arguments) - takes):
        raise ValueError(f"{name}: {_nearest(unknown[0], takes | {'probability'})}. Received: {unknown[0]}")
    for argument, value in arguments.items():
        if expected := _wrong(argument, value):
            raise ValueError(f"{name}: expected {expected}. Received: {argument}={value!r}")
    try:
        step = _step(name, KINDS[name](**arguments), arguments)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{name}: {error}") from None
    return step if probability == 1 else Sometimes(step, probability)


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=3) or sorted(known)
    return f"expected {' or '.join(near)}"


def _wrong(argument: str, value: typing.Any) -> str:
    """Returns what was expected, as far as Keras does not say so itself; "" where a value is right."""
    if words := _WORDS.get(argument):
        return "" if value in words else " or ".join(sorted(words))
    if isinstance(value, str):
        return "a number"
    if (least := _LEAST.get(argument)) is not None:
        right = type(value) is int and least <= value <= _MOST
        return "" if right else f"a whole number in [{least}, {_MOST}]"
    if argument == "alpha" and not (type(value) in (int, float) and value > 0):
        return "a number above 0"
    return ""


def _step(name: str, layer: typing.Any, arguments: _Arguments) -> Step:
    """Returns what a layer does; composed ones from the layers that Keras's own holds."""
    if name in COLOURS:
        return Colour(layer, COLOURS[name][1])
    if name in GEOMETRIES:
        whole = name in ("random_flip", "random_crop") and not {"height", "width"} & set(arguments)
        return Geometry(layer, GEOMETRIES[name][1], arguments.get("fill_mode"), whole)
    if name == "random_color_jitter":
        held = [f"random_{kind}" for kind in ("brightness", "contrast", "saturation", "hue")]
        return chain([_inner(layer, inner) for inner in held if getattr(layer, inner) is not None])
    if name == "rand_augment":
        return RandAugment(layer, [_inner(layer, inner) for inner in layer._AUGMENT_LAYERS])
    if name == "aug_mix":
        return AugMix(layer, [_inner(layer, inner) for inner in layer._augment_layers])
    others: dict[str, typing.Any] = {
        "cut_mix": CutMix,
        "equalization": Equalize,
        "mix_up": MixUp,
        "random_distortion": Distortion,
        "random_elastic_transform": Elastic,
        "random_mosaic": Mosaic,
        "random_object_crop": ObjectCrop,
    }
    return others[name](layer)


def _inner(layer: typing.Any, name: str) -> Step:
    return _step(name, getattr(layer, name), {})
