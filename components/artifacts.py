"""The artifact types that stages exchange, and the names of the files in them."""

import json
import pathlib
import typing

from conveyor.pipeline.artifacts import Artifact

if typing.TYPE_CHECKING:
    import numpy as np


CONTRACT = "assets.extra/contract.json"  # in an exported SavedModel: see `Model.contract`


class Examples(Artifact):
    """A TFDS data set with facts about each example, and what was set aside.

    Properties: `splits` (name -> number of examples), `classes` (names in label order),
    `annotations` (which of "label", "objects" and "mask" each example has), `channels` (1 or 3),
    `quarantined` (number of files set aside), `read` (number of files read; what is not quarantined
    is kept), `faults` (number of rows in `quarantine.jsonl` about parts of files that are kept),
    `mask_classes` (names in the order of indices), and `in_place` where the data is not copied: the
    name by which TFDS opens it, in whose splits the keys of facts say which examples are meant.

    Features: `image`, `id`; and `label`, `objects` ({`bbox`, `label`, `area`, `is_crowd`,
    `is_difficult`, `segmentation`: COCO's compressed run lengths, "" for none}), `segmentation_mask`
    (class indices, 255 is void), as far as there are such annotations.
    """

    @property
    def dataset_dir(self) -> pathlib.Path:
        """What `tfds.builder_from_directory` opens."""
        return self.path / "dataset"

    @property
    def facts_dir(self) -> pathlib.Path:
        """One Parquet file per shard and split: `<split>-<number>.parquet`, a row per example.

        See `conveyor.components.facts`.
        """
        return self.path / "facts"

    @property
    def quarantine_file(self) -> pathlib.Path:
        """JSON lines, a row for each thing that was set aside.

        `file`; `field` ("" for the whole file, else a part such as "objects[3]"); `reason` (a key of
        `REASONS`); `detail`; `action`: "set_aside" (the file), "dropped" or "clipped" (the part), or
        "kept" (only said); and where there is a picture of it `preview`, a path in the artifact.
        """
        return self.path / "quarantine.jsonl"

    def quarantine(self) -> list[dict[str, str]]:
        """Returns what was set aside."""
        return [json.loads(line) for line in self.quarantine_file.read_text(encoding="utf-8").splitlines()]


class _JsonArtifact(Artifact):
    """An artifact whose main content is one JSON document."""

    file_name: typing.ClassVar[str]

    def write(self, value: typing.Any) -> None:
        """Writes the document."""
        text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
        (self.path / self.file_name).write_text(text, encoding="utf-8")

    def read(self) -> typing.Any:
        """Returns the document."""
        return json.loads((self.path / self.file_name).read_text(encoding="utf-8"))


class Statistics(_JsonArtifact):
    """Per-split statistics: `statistics.json`, and `stats.pb` for TFDV and Facets.

    The document: split -> {`examples`; `width`, `height`, `aspect` (width / height), `bytes`,
    `brightness`, `sharpness` (each a summary: {min, max, mean, std, quantiles, sketch}); `formats`,
    `modes` (name -> count); `channel_mean`, `channel_std` (per channel, of values in [0, 255])}, and

    - with labels: `classes` (name -> count), `per_class` (name -> {examples, width, height, aspect,
      brightness});
    - with objects: `objects`: {`count`, `crowd`, `difficult`, `empty_images`, `classes` (name -> count),
      `per_image`, `size` (square root of the area, in pixels), `relative_size` (square root of the
      share of the image), `aspect`, `position` (16 x 16 counts of box centres, rows from the top),
      `per_class` (name -> {count, images, size, aspect})};
    - with masks: `mask`: {`shares` (name -> share of the pixels that are not void), `images` (name ->
      number of images that have it), `void` (share of all pixels)}.
    """

    file_name = "statistics.json"

    @property
    def proto_file(self) -> pathlib.Path:
        """A serialised `DatasetFeatureStatisticsList` of tensorflow_metadata."""
        return self.path / "stats.pb"


class Schema(Artifact):
    """What examples must look like: `schema.pbtxt`, a tensorflow_metadata proto to read and edit."""

    @property
    def file(self) -> pathlib.Path:
        """The text proto."""
        return self.path / "schema.pbtxt"


class Anomalies(_JsonArtifact):
    """What is wrong with the data: `anomalies.json`, a list of

    {`kind`, `severity` ("error" or "warning"), `split` (or ""), `short`, `long`, `examples` (keys),
    `pictures` ({`file`, relative to the artifact, `caption`}; often none)}.
    Closes the gate where any is an error.
    """

    file_name = "anomalies.json"


class TransformGraph(_JsonArtifact):
    """The one preprocessing: a SavedModel from image bytes to model input, and `transform.json`.

    The document: `height`, `width`, `channels`, `mean`, `std` (per channel; of pixels in [0, 255]);
    `resize` and `stride`, as in the settings; `fill` (per channel: the colour of padding).
    """

    file_name = "transform.json"

    @property
    def saved_model(self) -> pathlib.Path:
        """A SavedModel with the functions of `conveyor.components.transform.graph.Preprocessing`."""
        return self.path / "saved_model"


class Model(Artifact):
    """A trained model in the forms it is used in.

    Properties: `parameters`, `epochs`, `best_epoch`, `family`, `classes`.
    """

    @property
    def keras_file(self) -> pathlib.Path:
        """The Keras model, from model input to raw outputs."""
        return self.path / "model.keras"

    @property
    def saved_model(self) -> pathlib.Path:
        """What is served: signatures `serving_default` (image bytes) and `tensors` (model input)."""
        return self.path / "saved_model"

    def contract(self) -> dict[str, typing.Any]:
        """Returns what whoever serves the model must know; it lies in the SavedModel.

        {`task` (settings), `classes`, `thresholds` (output -> value), `input` (of TransformGraph),
        `signatures` (name -> {`inputs`, `outputs`}: name -> {`dtype`, `shape`}), `family`, `parameters`,
        `made_with` (package -> version)}.
        """
        return json.loads((self.saved_model / CONTRACT).read_text(encoding="utf-8"))

    @property
    def history_file(self) -> pathlib.Path:
        """JSON: metric name -> value per epoch."""
        return self.path / "history.json"

    @property
    def layers_file(self) -> pathlib.Path:
        """JSON: the layer table of `conveyor model`."""
        return self.path / "layers.json"

    @property
    def plots_file(self) -> pathlib.Path:
        """JSON: plots for the card, of the kinds that it draws; files of galleries are in the artifact."""
        return self.path / "plots.json"


class Evaluation(_JsonArtifact):
    """How good the exported model is on a split: `evaluation.json`, and the predictions.

    The document: `split`, `task` (what was asked, see `asked`), `examples`, `resampled` ("examples" or
    "groups": what intervals drew) and `units` (how many of them), `classes`, `metrics` (name -> {value,
    low, high}), `gap` (split -> metrics), `plots` (made by the task, and galleries).
    """

    file_name = "evaluation.json"

    @property
    def predictions_file(self) -> pathlib.Path:
        """NPZ without pickles: `ids`, `targets`, and one array per output of the model."""
        return self.path / "predictions.npz"

    def predictions(self) -> "dict[str, np.ndarray]":
        """Returns what `predictions_file` holds: `ids`, and the records of the task."""
        import numpy as np

        with np.load(self.predictions_file, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


class Blessing(_JsonArtifact):
    """Whether the evaluator lets the model pass: `blessing.json`. Closes the gate where it does not.

    The document: `blessed`; `reasons` (why not); `checks`, each {`metric`, `value`, `low`, `high`,
    `at_least` or `at_most`, `by`, `passed`}; `against` ("none" or "last_blessed");

    - `comparison` with the last blessed model, None where there is none to compare with: {`metric`,
      `value`, `baseline` (its value), `evaluation` (digest of its Evaluation), `gain` ({value, low, high};
      below 0 where the new model is worse), `probability` (that it is better), `verdict` ("better",
      "not worse", "worse" or "undecided"), `margin`, `passed`};
    - `slices`, each {`name`, `examples`, `metric`, `value`, `low`, `high`, `gain` (or None), `worse`},
      and `slices_left_out`, how many had too few examples.
    """

    file_name = "blessing.json"


class InfraBlessing(_JsonArtifact):
    """Whether a fresh process gave the evaluated answers on the raw bytes: `infra_blessing.json`.

    The document: `blessed`, `reason`, `examples`, `largest_difference`, `metrics`. How fast the server was
    is told by the stage, and not kept here, as it differs from run to run.
    """

    file_name = "infra_blessing.json"


class Formats(_JsonArtifact):
    """The model in other formats: `formats.json`, and the files of those that are as good as the SavedModel.

    The document: `split` and `max_drop`, by which they were measured, and `formats`, see `Exporter.export`.
    """

    file_name = "formats.json"

    @property
    def files(self) -> pathlib.Path:
        """The folder of the files."""
        return self.path / "files"


class PushedModel(_JsonArtifact):
    """Where the model was pushed to: `pushed.json`: {`destination`, `version`, `model` (digest), `removed`
    (older versions), `against` (how its answers differ from those of the version before, see
    `conveyor.components.pusher.golden`; None where there is none)}.
    """

    file_name = "pushed.json"


class ModelCard(Artifact):
    """One self-contained HTML file: `model_card.html`."""

    @property
    def file(self) -> pathlib.Path:
        """The page."""
        return self.path / "model_card.html"
