"""The commands, in the order `conveyor --help` lists them.

The docstring of a command's module is its help. The module imports nothing heavy and has:

`add_arguments(parser)`: adds its arguments; `--json` is added for all.
`run(arguments)`: does the work, importing what it needs. Returns an exit code, or what `--json`
    prints: a dict, a list, or an iterator of dicts.
`show(document)`: yields what is printed otherwise: lines of text, and rich tables and trees.
`finish(document)`: optional; returns the exit code, after what is left to say on stderr.
"""

import types

from conveyor.cli.commands import (
    configs,
    deploy,
    evaluate,
    lineage,
    metrics,
    model,
    new,
    predict,
    rollback,
    run,
    runs,
    schema,
    serve,
    show,
    sweep,
)

COMMANDS: dict[str, types.ModuleType] = {
    "run": run,
    "sweep": sweep,
    "configs": configs,
    "schema": schema,
    "new": new,
    "model": model,
    "runs": runs,
    "show": show,
    "lineage": lineage,
    "evaluate": evaluate,
    "metrics": metrics,
    "predict": predict,
    "serve": serve,
    "rollback": rollback,
    "deploy": deploy,
}
