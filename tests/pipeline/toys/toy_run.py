"""Runs toy pipelines in a process of its own: `toy_run.py WORKSPACE CONTROL VALUES-JSON…`.

Prints one JSON line per run, and at the end which heavy module this process has imported.
"""

import json
import sys

import toy_stages

from conveyor.pipeline.runners.local import LocalRunner
from conveyor.pipeline.workspace import Workspace


def main(root, control, *runs):
    workspace = Workspace(root)
    for values in runs:
        result = LocalRunner(workspace).run(toy_stages.toy_pipeline(control, **json.loads(values)), "toy")
        error = result.error.to_dict() if result.error else None
        print(
            json.dumps({"stages": toy_stages.outcome(result), "error": error, "run": result.run}), flush=True
        )
    print(json.dumps({"heavy": toy_stages.HEAVY in sys.modules}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
