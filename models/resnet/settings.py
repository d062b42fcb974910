"""Settings of the ResNet family."""

import typing

import pydantic

from conveyor.models.settings import Settings

# Blocks of each stage of the ImageNet networks (He et al., table 1), and convolutions in a block.
IMAGENET_STAGES = {
    18: ((2, 2, 2, 2), 2),
    34: ((3, 4, 6, 3), 2),
    50: ((3, 4, 6, 3), 3),
    101: ((3, 4, 23, 3), 3),
    152: ((3, 8, 36, 3), 3),
}


class ResNetSettings(Settings):
    """A residual network, for small images (`stem: cifar`) or large ones (`stem: imagenet`)."""

    family: typing.Literal["resnet"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("classification", "multi_label")
    depth: pydantic.PositiveInt = 20
    """Layers with weights: 6n + 2 (20, 32, 44, 56, 110) with the stem of CIFAR; 18, 34, 50, 101 or 152
    with that of ImageNet."""
    stem: typing.Literal["cifar", "imagenet"] = "cifar"
    """3x3 convolution and three stages; or 7x7 of stride 2, pooling and four stages."""
    version: typing.Literal[1, 2] = 1
    """1: activation after the sum, stride in the 3x3 convolution (v1.5). 2: activation first."""
    shortcut: typing.Literal["A", "B"] = "B"
    """Where maps shrink: A takes each second pixel and pads channels with 0, B is a 1x1 convolution."""
    width: pydantic.PositiveInt | None = None
    """Filters of the first stage, doubled in each next; by default 16 (CIFAR) or 64 (ImageNet)."""
    zero_gamma: bool = True
    """Whether each block starts as the identity. Version 2 has no such scale; its last kernels are as all."""
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of features dropped in training, before the logits."""
    normalization: typing.Literal["batch", "group", "layer"] = "batch"
    """`group` and `layer` do not mix the images of a batch, which suits detectors' small batches."""

    @pydantic.model_validator(mode="after")
    def _has_a_known_depth(self) -> typing.Self:
        blocks_of(self.depth, self.stem)
        return self


def blocks_of(depth: int, stem: str) -> tuple[tuple[int, ...], int]:
    """Returns the blocks of each stage, and the convolutions in a block.

    Raises:
        ValueError: There is no such network.
    """
    if stem == "imagenet":
        if depth not in IMAGENET_STAGES:
            known = ", ".join(str(known) for known in IMAGENET_STAGES)
            raise ValueError(f"expected a depth of {known} with stem imagenet. Received: depth={depth}")
        return IMAGENET_STAGES[depth]
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"expected a depth of 6n + 2, such as 20, with stem cifar. Received: depth={depth}")
    return ((depth - 2) // 6,) * 3, 2
