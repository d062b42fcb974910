"""Stages for tests: each writes a short text, and does before that what a control folder says.

The control folder is where a test talks with stages, whichever process they run in: `log` gets the
name of each stage as it is executed, and what `<stage>.py` holds is run in the stage.
"""

import os
import pathlib
import signal
import sys
import time

from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import GateError, UserError
from conveyor.pipeline.stage import Context, In, Out, stage

HEAVY = "colorsys"  # stands for TensorFlow: nothing else imports it


class _Text(Artifact):
    def write(self, text):
        (self.path / "text.txt").write_text(text, encoding="utf-8")

    def read(self):
        return (self.path / "text.txt").read_text(encoding="utf-8")


class Data(_Text):
    pass


class Fitted(_Text):
    pass


class Page(_Text):
    pass


class Card(_Text):
    pass


class Toy(Settings):
    control: str
    value: str = ""


def wait_until(happened, seconds=30.0):
    """Waits until `happened()` is true; returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {happened}")
        time.sleep(0.005)
    return found


def perform(name, settings, context, output):
    """Notes that a stage is executed, then does what the control folder says."""
    control = pathlib.Path(settings.control)
    with open(control / "log", "a", encoding="utf-8") as log:
        log.write(name + "\n")
    script = control / f"{name}.py"
    if script.exists():
        known = {"GateError": GateError, "UserError": UserError, "os": os, "sys": sys, "signal": signal}
        local = {"control": control, "context": context, "output": output, "wait_until": wait_until}
        exec(compile(script.read_text(encoding="utf-8"), script, "exec"), {**known, **local})  # noqa: S102


@stage
def load(data: Out[Data], settings: Toy, context: Context) -> None:
    perform("load", settings, context, data)
    data.write(f"data {settings.value}")


@stage(warm=(HEAVY,))
def fit(data: In[Data], fitted: Out[Fitted], settings: Toy, context: Context) -> None:
    perform("fit", settings, context, fitted)
    fitted.write(f"{data.read()}, fitted {settings.value}")


@stage
def report(fitted: In[Fitted], page: Out[Page], settings: Toy, context: Context) -> None:
    perform("report", settings, context, page)
    page.write(f"{fitted.read()}, reported {settings.value}")


@stage(after_gate=True)
def card(data: In[Data], page: In[Page] | None, card: Out[Card], settings: Toy, context: Context) -> None:
    perform("card", settings, context, card)
    card.write(f"{data.read()}; {page.read() if page else 'no page'}")


STAGES = {"load": load, "fit": fit, "report": report, "card": card}


def toy_pipeline(control, stages=("load", "fit", "report"), **values):
    """Wires toy stages; `values` are their settings' values, by stage."""
    return Pipeline(
        Node(STAGES[name], Toy(control=os.fspath(control), value=values.get(name, ""))) for name in stages
    )


def outcome(result):
    """Returns what became of each stage of a run: its status, or "cached"."""
    return {stage.name: "cached" if stage.cached else stage.status for stage in result.stages}
