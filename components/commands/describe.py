"""`conveyor model`: the layer table of a config's model, and advice for its data."""

import os
import pathlib
import typing
from collections.abc import Sequence

from conveyor.components.trainer.settings import TrainerSettings
from conveyor.pipeline.errors import UserError


def describe_model(
    config: str,
    overrides: Sequence[str],
    workspace: str | os.PathLike[str],
    draw: str | None = None,
) -> dict[str, typing.Any]:
    """Returns what the model that a config would train is made of, and what does not fit its data.

    Args:
        config: Path or shipped name of a config; its data is read in (or found in the cache), as
            the size of the images is the data's unless `transform.size` says it.
        overrides: "dotted.key=value" each.
        workspace: Where Examples are kept.
        draw: Where to draw receptive fields: a file that ends in .svg, .png or .html; what is drawn of
            anchors gets the same name with "-anchors".

    Returns:
        `layers` (see `conveyor.models.layer_table.layer_table`), `totals` and `advice` (see
        `conveyor.models.describe.advice`), `objects`, their sizes in the model's input, if any, and
        `anchors`, how they suit the training boxes, of a detector (see `conveyor.models.describe.anchors`).

    Raises:
        UserError: There is no such config, the layers do not fit the images, or there is nothing to draw.
    """
    from conveyor.components.backbone import resolve_backbone
    from conveyor.components.experiment import load_experiment, run
    from conveyor.components.transform.fit import fit

    if draw is not None:
        from conveyor.components.model_card.standalone import check_suffix

        check_suffix(pathlib.Path(draw))
    experiment = load_experiment(config, overrides)
    if experiment.model is None:
        raise UserError("the config has no model to describe", fix="add a section `model`")
    result = run(config, overrides, workspace=workspace, until="statistics_gen")
    if result.error:
        raise result.error
    examples: typing.Any = result.outputs["example_gen"]["examples"]
    statistics: typing.Any = result.outputs["statistics_gen"]["statistics"]
    document = fit(statistics.read(), examples.properties["channels"], experiment.transform)
    from conveyor.components.tasks import task_for
    from conveyor.components.trainer.fit import build
    from conveyor.components.trainer.objects import training_objects
    from conveyor.models.describe.advice import advise, object_sizes, totals
    from conveyor.models.describe.anchors import anchor_advice, anchor_report
    from conveyor.models.layer_table import layer_table

    found = resolve_backbone(experiment.model, experiment.transform.normalize, pathlib.Path(workspace))
    settings = TrainerSettings(task=experiment.task, model=found, fit=experiment.trainer)
    task, boxes = task_for(experiment.task, examples), training_objects(examples, document)
    model = build(document, settings, task, boxes)
    layers = layer_table(model)
    report = anchor_report(model.anchor_levels, boxes, task.classes, model.positive_iou, layers)
    objects = object_sizes(statistics.read().get("train", {}), document["height"], document["width"])
    if draw is not None:
        _draw(layers, objects, report, pathlib.Path(draw))
    return {
        "layers": layers,
        "totals": totals(layers),
        "advice": [*advise(layers, objects, several=report is not None), *anchor_advice(report)],
        "objects": objects,
        "anchors": report,
    }


def _draw(
    layers: list[dict[str, typing.Any]],
    objects: dict[str, float] | None,
    report: dict[str, typing.Any] | None,
    path: pathlib.Path,
) -> None:
    from conveyor.components.model_card.fields import fields_plot
    from conveyor.components.model_card.standalone import save
    from conveyor.models.describe.anchors import anchor_plot

    plot = fields_plot(layers, objects)
    if plot is None:
        raise UserError("the model has no receptive fields to draw: nothing in it slides over the image")
    save(plot, path)
    if report is not None:
        save(anchor_plot(report), path.with_stem(f"{path.stem}-anchors"))
