"""Runs a pipeline on this machine: one stage at a time, nothing twice, nothing half done."""

import contextlib
import dataclasses
import pathlib
import shutil
import time
import typing
from collections.abc import Callable, Iterator, Mapping

from conveyor.pipeline.artifacts import Artifact, is_complete, seal
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.digest import digest_of
from conveyor.pipeline.errors import ConveyorError, GateError, UserError
from conveyor.pipeline.execution import execute, explain, make_spec
from conveyor.pipeline.runners.warm import WarmProcess
from conveyor.pipeline.source import code_digest
from conveyor.pipeline.stage import PastRun
from conveyor.pipeline.workspace import Workspace

Outputs = dict[str, Artifact]


@dataclasses.dataclass(frozen=True)
class StageReport:
    """What became of one stage.

    Args:
        name: Of the stage.
        status: "done", "failed" or "blocked" (by a gate or a failure).
        cached: Whether its result was there already.
        seconds: How long it took.
        notes: What it told besides (see `Context.note`).
    """

    name: str
    status: str
    cached: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def row(self) -> dict[str, typing.Any]:
        """Returns what the summary says of it; `notes` only where there are any."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if name != "notes" or value}


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a run.

    Args:
        run: Name of the run.
        stages: A report for each stage that was asked for.
        outputs: Node name -> output name -> artifact.
        summary: What `summary.json` holds.
        error: Why the run stopped, if it did.
        traceback: Where `error` is a bug, its traceback.
    """

    run: str
    stages: list[StageReport]
    outputs: dict[str, Outputs]
    summary: dict[str, typing.Any]
    error: ConveyorError | None = None
    traceback: str = ""


class LocalRunner:
    """Runs pipelines in one workspace.

    Args:
        workspace: Where everything is kept.
        report: Called with a `StageReport` when a stage ends, and with (name, None) when it starts.
    """

    def __init__(
        self,
        workspace: Workspace,
        report: Callable[[str, StageReport | None], None] = lambda *_: None,
    ):
        self.workspace = workspace
        self._report = report

    def run(
        self,
        pipeline: Pipeline,
        name: str,
        *,
        settings: Mapping[str, typing.Any] | None = None,
        summary: Mapping[str, typing.Any] | None = None,
        until: str | None = None,
        start: str | None = None,
    ) -> Result:
        """Runs a pipeline.

        Args:
            pipeline: What to run.
            name: Name of the config, for the run's name.
            settings: All settings as JSON values, to be recorded with the run.
            summary: The summary's keys before any stage has added to them.
            until: Last stage to run.
            start: This stage and what depends on it run even if their results are cached.

        Returns:
            The result, also of a run that a stage or a gate stopped.

        Raises:
            UserError: `until` or `start` names no stage.
        """
        nodes = pipeline.select(until, start)
        forced = pipeline.downstream(start) if start else set()
        run = self.workspace.new_run(name, settings or {})
        with self.workspace.staging(run) as staging:
            belt = _Belt(self.workspace, pipeline, nodes, forced, name, run, staging)
            try:
                result = belt.run(self._report)
            finally:
                belt.close()
        stages = [report.row() for report in result.stages]
        head = {"run": run, "config": name, "stages": stages}
        merged = _merge({**head, **(summary or {})}, result.outputs)
        if result.error:
            merged["error"] = {**result.error.to_dict(), "exit_code": result.error.exit_code}
        if result.outputs:
            digests = {
                node: {name: artifact.digest for name, artifact in made.items()}
                for node, made in result.outputs.items()
            }
            self.workspace.store.record_artifacts(run, digests)
        self.workspace.finish_run(run, merged)
        return dataclasses.replace(result, summary=merged)


def _merge(summary: dict[str, typing.Any], outputs: Mapping[str, Outputs]) -> dict[str, typing.Any]:
    """Adds what artifacts say of themselves; "{path}" in a text stands for the artifact's path."""
    for artifacts in outputs.values():
        for artifact in artifacts.values():
            for key, value in artifact.properties.get("summary", {}).items():
                if isinstance(value, str):
                    value = value.replace("{path}", str(artifact.path))
                summary[key] = value
    return summary


class _Belt:
    """One run under way."""

    def __init__(
        self,
        workspace: Workspace,
        pipeline: Pipeline,
        nodes: list[Node],
        forced: set[str],
        config: str,
        run: str,
        staging: pathlib.Path,
    ):
        self.workspace = workspace
        self.pipeline = pipeline
        self.nodes = nodes
        self.forced = forced
        self.config = config
        self.run_name = run
        self.staging = staging
        self.outputs: dict[str, Outputs] = {}
        self.warm: dict[tuple[str, ...], WarmProcess] = {}
        self.error: ConveyorError | None = None
        self.traceback = ""
        self.notes: dict[str, tuple[str, ...]] = {}

    def run(self, report: Callable[[str, StageReport | None], None]) -> Result:
        reports = []
        for node in self.nodes:
            report(node.name, None)
            done = self._step(node)
            self._release_warm(node)
            report(node.name, done)
            reports.append(done)
        return Result(self.run_name, reports, self.outputs, {}, self.error, self.traceback)

    def close(self) -> None:
        for process in self.warm.values():
            process.close()

    def _step(self, node: Node) -> StageReport:
        if self._is_blocked(node):
            return StageReport(node.name, "blocked")
        began = time.monotonic()
        status, cached = "failed", False
        try:
            self.outputs[node.name], cached = self._obtain(node)
            self._check_gates(node)
            status = "done"
        except Exception as error:  # a stage's fingerprint and still_holds may raise anything
            told, trace = explain(error, node.stage.reference)
            self.error = self.error or told
            self.traceback = self.traceback or trace
        seconds = round(time.monotonic() - began, 3)
        return StageReport(node.name, status, cached, seconds, self.notes.get(node.name, ()))

    def _is_blocked(self, node: Node) -> bool:
        if self.error is None:
            return False
        inputs = self._inputs(node)
        missing = [name for name, port in node.stage.inputs.items() if not (inputs[name] or port.optional)]
        return bool(missing) or not (node.stage.after_gate and isinstance(self.error, GateError))

    def _check_gates(self, node: Node) -> None:
        for artifact in self.outputs[node.name].values():
            if gate := artifact.properties.get("gate"):
                told = GateError(gate["reason"], where=f"stage {node.name}", fix=gate["fix"])
                self.error = self.error or told

    def _obtain(self, node: Node) -> tuple[Outputs, bool]:
        """Returns a node's outputs, from the cache where its key was run before."""
        inputs = self._inputs(node)
        if not self.workspace.store.has_run(node.name):
            self._prepare_warm(node)  # surely a miss: import while the key is being computed
        baseline = self._baseline(node, inputs)
        key = self._key(node, inputs, baseline)
        forced = node.name in self.forced
        if not forced and (cached := self._cached(node, key)) is not None:
            return cached, True
        self._prepare_warm(node)
        with self.workspace.execution_lock(key):
            # looked up again: another run may have worked on it while we waited for the lock
            if not forced and (cached := self._cached(node, key)) is not None:
                return cached, True
            return self._execute(node, key, inputs, baseline), False

    def _inputs(self, node: Node) -> dict[str, Artifact | None]:
        found: dict[str, Artifact | None] = {}
        for name, source in self.pipeline.sources[node.name].items():
            found[name] = self.outputs.get(source[0], {}).get(source[1]) if source else None
        return found

    def _baseline(self, node: Node, inputs: Mapping[str, Artifact | None]) -> Artifact | None:
        if node.stage.baseline is None:
            return None
        return node.stage.baseline(node.settings, inputs, self._past_runs())

    def _past_runs(self) -> Iterator[PastRun]:
        for summary, rows in self.workspace.store.past_runs(self.config):
            root = self.workspace.root
            yield PastRun(
                summary, {row["type"]: Artifact(root / row["path"], digest=row["digest"]) for row in rows}
            )

    def _key(self, node: Node, inputs: Mapping[str, Artifact | None], baseline: Artifact | None) -> str:
        fingerprint = ""
        if node.stage.fingerprint:
            fingerprint = node.stage.fingerprint(node.settings, self.workspace.root)
        return digest_of(
            {
                "stage": node.stage.reference,
                "code": code_digest(node.stage),
                "settings": node.settings.model_dump(mode="json"),
                "inputs": {name: found.digest if found else None for name, found in inputs.items()},
                "fingerprint": fingerprint,
                "baseline": baseline.digest if baseline else "",
            }
        )

    def _cached(self, node: Node, key: str) -> Outputs | None:
        rows = self.workspace.store.cached_outputs(key)
        if rows is None or set(rows) != set(node.stage.outputs):
            return None
        outputs: Outputs = {}
        for name, (_, relative) in rows.items():
            path = self.workspace.root / relative
            if not is_complete(path):
                return None
            outputs[name] = node.stage.outputs[name].type.load(path)
        if node.stage.still_holds and not node.stage.still_holds(node.settings, outputs):
            return None
        return outputs

    def _prepare_warm(self, node: Node) -> None:
        """Starts importing heavy modules if this node or a later one will want them."""
        for later in self.nodes[self.nodes.index(node) :]:
            modules = later.stage.warm
            if modules and modules not in self.warm:
                self.warm[modules] = WarmProcess(modules)

    def _release_warm(self, node: Node) -> None:
        """Ends the warm processes that no later node wants, for their memory."""
        wanted = {later.stage.warm for later in self.nodes[self.nodes.index(node) + 1 :]}
        for modules in set(self.warm) - wanted:
            self.warm.pop(modules).close()

    def _execute(
        self, node: Node, key: str, inputs: Mapping[str, Artifact | None], baseline: Artifact | None
    ) -> Outputs:
        store = self.workspace.store
        settings = node.settings.model_dump(mode="json")
        execution = store.start_execution(key, node.name, self.run_name, settings)
        began = time.monotonic()
        folder = self.staging / node.name
        scratch = self.workspace.root / "scratch" / key
        try:
            result = self._call(node, inputs, baseline, folder, scratch)
            outputs, records = self._publish(node, key, folder, result)
        except BaseException as error:
            with contextlib.suppress(UserError):  # on a full disk this fails too
                told = str(error) or type(error).__name__
                store.fail_execution(execution, time.monotonic() - began, told)
            raise
        self.notes[node.name] = tuple(result["notes"])
        used = {name: found for name, found in inputs.items() if found}
        examples = next((a.digest for a in used.values() if a.type_name() == "Examples"), "")
        store.finish_execution(
            execution,
            time.monotonic() - began,
            {**node.references, **{name: artifact.digest for name, artifact in used.items()}},
            records,
            [{"examples": examples, **look} for look in result["looks"]],
        )
        shutil.rmtree(scratch, ignore_errors=True)
        return outputs

    def _call(
        self,
        node: Node,
        inputs: Mapping[str, Artifact | None],
        baseline: Artifact | None,
        folder: pathlib.Path,
        scratch: pathlib.Path,
    ) -> dict[str, typing.Any]:
        scratch.mkdir(exist_ok=True)
        folder.mkdir()
        staged = {name: folder / name for name in node.stage.outputs}
        for path in staged.values():
            path.mkdir()
        used = [*(a.digest for a in inputs.values() if a), *node.references.values()]
        lineage = self.workspace.store.lineage(used)
        spec = make_spec(
            node.stage,
            node.settings.model_dump(mode="json", by_alias=True),
            {name: str(found.path) if found else None for name, found in inputs.items()},
            {name: str(path) for name, path in staged.items()},
            {
                "run": self.run_name,
                "workspace": str(self.workspace.root),
                "scratch": str(scratch),
                "lineage": lineage,
                "baseline": str(baseline.path) if baseline else "",
            },
        )
        warm = self.warm.get(node.stage.warm)
        result = warm.run(spec, folder) if warm else execute(spec)
        if "error" in result:
            self.traceback = result.get("traceback", "")
            raise ConveyorError.from_dict(result["error"])
        return result

    def _publish(
        self, node: Node, key: str, folder: pathlib.Path, result: dict[str, typing.Any]
    ) -> tuple[Outputs, dict[str, tuple[str, str, str]]]:
        outputs: Outputs = {}
        records = {}
        for name, port in node.stage.outputs.items():
            outputs[name] = port.type(folder / name, result["properties"][name])
            seal(outputs[name], {"stage": node.stage.reference, "key": key})
        for name, artifact in outputs.items():  # none before all are sealed
            artifact.path = self.workspace.publish(artifact)
            relative = artifact.path.relative_to(self.workspace.root).as_posix()
            records[name] = (artifact.digest, artifact.type_name(), relative)
        shutil.rmtree(folder)
        return outputs, records
