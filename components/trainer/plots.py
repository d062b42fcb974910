"""Plots that a training leaves for the model card."""

import json
import typing

from conveyor.components.artifacts import Model


def write_plots(model: Model, plots: list[dict[str, typing.Any]]) -> None:
    """Writes plots into a Model artifact.

    Args:
        model: The artifact.
        plots: Of the kinds that the card draws, see `conveyor.components.model_card.figures`; files of
            galleries are in the artifact, and named relative to it.
    """
    model.plots_file.write_text(json.dumps(plots, indent=1, allow_nan=False), encoding="utf-8")
