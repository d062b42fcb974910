"""`@stage` turns one typed function into a stage of a pipeline.

    @stage
    def schema_gen(statistics: In[Statistics], schema: Out[Schema],
                   settings: SchemaGenSettings, context: Context) -> None:
        ...

Inputs and outputs are artifacts, told apart by `In` and `Out`; an input typed `In[T] | None` is
optional. The engine hands `Out` an empty directory and publishes it when the function returns.
"""

import dataclasses
import inspect
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, Mapping

from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.errors import UserError

_T = typing.TypeVar("_T", bound=Artifact)
_IN, _OUT = "conveyor.in", "conveyor.out"
In = typing.Annotated[_T, _IN]
Out = typing.Annotated[_T, _OUT]


@dataclasses.dataclass
class Context:
    """What a stage may know of the run it is part of, besides its inputs and settings.

    Args:
        run: Name of the run.
        workspace: Root of the workspace.
        scratch: A directory that outlives a crash: the same for every try at the same execution.
        lineage: Execution records of the inputs, newest first (see `MetadataStore.lineage`).
        baseline: Directory of the artifact of an earlier run to compare with; "" for none (see `Stage`).
        pristine: Whether this process was forked for this execution and has done nothing else, so that it
            may be forked once more before it does.
        looks: Filled by `look`: which splits' labels this stage used, and what for.
        notes: Filled by `note`: what is told of this execution and is no part of its results.
    """

    run: str = ""
    workspace: pathlib.Path = pathlib.Path()
    scratch: pathlib.Path = pathlib.Path()
    lineage: list[dict[str, typing.Any]] = dataclasses.field(default_factory=list)
    baseline: str = ""
    pristine: bool = False
    looks: list[dict[str, str]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def look(self, split: str, purpose: str) -> None:
        """Notes that the labels of `split` were used, to "choose" or to "report"."""
        self.looks.append({"split": split, "purpose": purpose})

    def note(self, text: str) -> None:
        """Tells the user something that may differ from one execution to the next, such as a time."""
        self.notes.append(text)


@dataclasses.dataclass(frozen=True)
class PastRun:
    """An earlier run of the same config, which has ended.

    Args:
        summary: Its summary.
        artifacts: Type -> artifact that the run made or took from the cache (the last one where there
            are several of a type), with `path` and `digest`. Check that it `is_complete` before use.
    """

    summary: Mapping[str, typing.Any]
    artifacts: Mapping[str, Artifact]


Baseline = Callable[[typing.Any, Mapping[str, Artifact | None], Iterable[PastRun]], Artifact | None]


@dataclasses.dataclass(frozen=True)
class Port:
    """One input or output of a stage."""

    type: type[Artifact]
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage: its function and what the engine read off its signature and decorator.

    Args:
        function: The function itself; calling the stage calls it.
        inputs: Input ports by parameter name.
        outputs: Output ports by parameter name.
        settings_type: The pydantic model of its settings.
        warm: Heavy modules that the function needs. The engine runs such a stage in a process of
            its own, forked from one that imported them ahead of time (the same for all stages with
            the same modules); their versions are part of the cache key.
        fingerprint: For a stage that reads outside the workspace: `(settings, workspace) ->
            digest` of what it would read.
        still_holds: For a stage with an effect outside the workspace: `(settings, outputs) ->
            bool`, whether the effect of a cached result is still there.
        baseline: For a stage that compares with an earlier run: `(settings, inputs, past runs of this
            config, newest first) -> artifact | None`. Its digest is part of the cache key, and the
            stage finds its directory in `context.baseline`.
        after_gate: Whether it runs even after a gate said no (a report).
    """

    function: Callable[..., None]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    settings_type: type[Settings]
    warm: tuple[str, ...] = ()
    fingerprint: Callable[[typing.Any, pathlib.Path], str] | None = None
    still_holds: Callable[[typing.Any, Mapping[str, Artifact]], bool] | None = None
    baseline: Baseline | None = None
    after_gate: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def reference(self) -> str:
        """Where to import the stage from: `module:name`."""
        return f"{self.function.__module__}:{self.name}"

    def __call__(self, **arguments: typing.Any) -> None:
        self.function(**arguments)


def stage(function: Callable[..., None] | None = None, **options: typing.Any) -> typing.Any:
    """Makes a stage of a function; usable as `@stage` or `@stage(warm=…, …)`.

    Args:
        function: The function; its parameters must be typed `In[…]`, `Out[…]`, and be named
            `settings` and `context`.
        **options: `warm`, `fingerprint`, `still_holds`, `baseline`, `after_gate` of `Stage`.

    Returns:
        The `Stage`.

    Raises:
        UserError: A parameter is not typed as a stage's parameters are.
    """
    if function is None:
        return lambda inner: stage(inner, **options)
    hints = typing.get_type_hints(function, include_extras=True)
    ports: dict[str, dict[str, Port]] = {_IN: {}, _OUT: {}}
    for name in inspect.signature(function).parameters:
        if name not in ("settings", "context"):
            direction, port = _parse_port(function.__name__, name, hints.get(name))
            ports[direction][name] = port
    settings_type = hints.get("settings", Settings)
    return Stage(function, ports[_IN], ports[_OUT], settings_type, **options)


def _parse_port(function: str, name: str, hint: typing.Any) -> tuple[str, Port]:
    optional, received = False, hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [arm for arm in typing.get_args(hint) if arm is not types.NoneType]
        optional, hint = True, rest[0] if len(rest) == 1 else None
    marks = getattr(hint, "__metadata__", ())
    if marks not in ((_IN,), (_OUT,)) or (optional and marks == (_OUT,)):
        raise UserError(
            f"stage {function}: parameter {name!r} is neither an input nor an output",
            expected="a type In[SomeArtifact], In[SomeArtifact] | None or Out[SomeArtifact]",
            received=str(received),
        )
    return marks[0], Port(typing.get_args(hint)[0], optional)
