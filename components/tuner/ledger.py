"""The ledger of a sweep: what was tried, how often each split has been looked at, what came of it.

<workspace>/sweeps/<name>/ledger.jsonl   a line a candidate, as soon as it is judged
<workspace>/sweeps/<name>/sweep.json     the result, once there is one

Both are for people to read. A sweep that is run again finds its models in the cache, not here.
"""

import json
import os
import pathlib
import typing

from conveyor.components.experiment import Experiment
from conveyor.components.tuner.settings import SweepSettings
from conveyor.components.tuner.trials import Candidate
from conveyor.pipeline.digest import digest_of
from conveyor.pipeline.metadata import MetadataStore

_SHORT = 8  # characters of a digest in a name


def sweep_name(config: str, experiment: Experiment, sweep: SweepSettings) -> str:
    """Returns a name that is the same for the same sweep, however many candidates it tries.

    Args:
        config: Name of the config.
        experiment: Its settings.
        sweep: What varies.
    """
    base = experiment.model_dump(mode="json", by_alias=True, exclude={"sweep"})
    varied = sweep.model_dump(mode="json", by_alias=True, exclude={"trials"})
    return f"{config}-{digest_of([base, varied])[:_SHORT]}"


class Ledger:
    """The files of one sweep.

    Args:
        workspace: Root of the workspace.
        name: Of the sweep.
    """

    def __init__(self, workspace: pathlib.Path, name: str):
        self.folder = workspace / "sweeps" / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, candidates: list[Candidate]) -> None:
        """Writes the candidates so far."""
        lines = [json.dumps(candidate.row(), allow_nan=False) + "\n" for candidate in candidates]
        self._replace("ledger.jsonl", "".join(lines))

    def finish(self, document: dict[str, typing.Any]) -> None:
        """Writes the result."""
        self._replace("sweep.json", json.dumps(document, indent=1, allow_nan=False))

    def _replace(self, name: str, text: str) -> None:
        partial = self.folder / f"{name}.{os.getpid()}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, self.folder / name)


def models_seen(store: MetadataStore, examples: str) -> int:
    """Returns how many models of this workspace were trained on these examples, by whatever run.

    Each of them was shown to the validation split: the more there are, the less the best of them means.

    Args:
        store: Of the workspace.
        examples: Digest of the Examples.
    """
    models = set()
    for config in sorted({run["config"] for run in store.runs()}):
        for _, artifacts in store.past_runs(config):
            digests = {artifact["type"]: artifact["digest"] for artifact in artifacts}
            if digests.get("Examples") == examples and "Model" in digests:
                models.add(digests["Model"])
    return len(models)
