"""Settings of the pretrained family."""

import typing

import pydantic

from conveyor.models.settings import Settings

# Classes of keras.applications, their names in words.
APPLICATIONS = (
    *(f"convnext-{size}" for size in ("tiny", "small", "base", "large", "xlarge")),
    *(f"densenet{depth}" for depth in (121, 169, 201)),
    *(f"efficientnet-b{number}" for number in range(8)),
    *(f"efficientnetv2-{size}" for size in ("b0", "b1", "b2", "b3", "s", "m", "l")),
    *("inception-resnet-v2", "inception-v3", "mobilenet", "mobilenet-v2", "mobilenet-v3-small"),
    *("mobilenet-v3-large", "nasnet-mobile", "nasnet-large", "resnet50", "resnet101", "resnet152"),
    *("resnet50-v2", "resnet101-v2", "resnet152-v2", "vgg16", "vgg19", "xception"),
)


def _spelled(name: typing.Any) -> typing.Any:
    """Returns the spelling above of a name that differs only in case, hyphens and underscores."""
    return next((known for known in APPLICATIONS if _plain(known) == _plain(str(name))), name)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


class BackboneSettings(Settings):
    """Where a backbone comes from: exactly one of `application`, `run`, `artifact` and `path`."""

    application: typing.Annotated[
        typing.Literal[APPLICATIONS] | None,  # type: ignore[valid-type]
        pydantic.BeforeValidator(_spelled),
    ] = None
    """A model of keras.applications, such as efficientnetv2-b0; any spelling of its name."""
    run: str = ""
    """An earlier run in this workspace: its name, or that of a config, whose newest run is meant."""
    artifact: str = ""
    """The digest of a Model artifact in this workspace, or how it begins."""
    path: str = ""
    """A .keras file, or the folder of a Model artifact."""
    weights: str = "imagenet"
    """Of an application: "imagenet" (Keras downloads them), "none" (it learns from scratch), or a
    .weights.h5 file of the application without its top."""
    digest: str = ""
    """Of the content that the weights are read from. Found when the pipeline is wired; give it to be
    told when the content is another."""
    mean: list[float] = []
    std: list[pydantic.PositiveFloat] = []
    """Mean and standard deviation, per channel, of pixels in [0, 255], by which the input of the
    backbone was normalised when it was trained. By default as its artifact says, or 0 and 255."""

    @pydantic.model_validator(mode="after")
    def _one(self) -> "BackboneSettings":
        given = [name for name in ("application", "run", "artifact", "path") if getattr(self, name)]
        if len(given) != 1:
            told = " and ".join(given) or "none"
            raise ValueError(f"a backbone is one of application, run, artifact and path, not {told}")
        if len(self.mean) != len(self.std):
            raise ValueError(f"as many values of mean ({len(self.mean)}) as of std ({len(self.std)})")
        return self

    @property
    def is_trained(self) -> bool:
        """Whether it comes with weights."""
        return not self.application or self.weights != "none"


class PretrainedSettings(Settings):
    """A backbone that was trained before, and a new head."""

    tasks: typing.ClassVar[tuple[str, ...]] = ("classification", "multi_label")
    """Kinds of task that it serves."""
    family: typing.Literal["pretrained"]
    backbone: BackboneSettings
    """Such as {application: efficientnetv2-b0} or {run: mnist_autoencoder}."""
    head: typing.Literal["global_average", "flatten"] = "global_average"
    """What is made of the backbone's last feature map: the mean of each channel, or all of it."""
    dense: pydantic.NonNegativeInt = 0
    """Width of a dense layer before the logits; 0 for none."""
    dropout: float = pydantic.Field(0.2, ge=0, lt=1)
    """Share of features dropped in training before each dense layer."""
    frozen_epochs: pydantic.NonNegativeInt = 1
    """Epochs in which only the head learns."""
    rate: float = pydantic.Field(0.1, ge=0, le=1)
    """Learning rate of the backbone's last block, as a share of the head's; 0 for never."""
    rate_decay: float = pydantic.Field(1.0, gt=0, le=1)
    """What the rate is multiplied by from one block to the one before it. A block ends where the
    feature maps become smaller."""
