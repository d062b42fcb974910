"""Schemathesis on the server's own OpenAPI document: whatever is sent, no answer is a server error.

pip install schemathesis
python benchmarks/fuzz_serving.py [--examples 200]
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

from served import conveyor_serve, export_model, running

# Names that are served: others end in 404 before any code of ours has read the request.
CONFIG = """
[parameters]
"path.name" = "m"
"path.version" = "1"
"""


def main() -> None:
    """Runs it against a server of a small CNN; ends with the exit code of schemathesis."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200)
    arguments = parser.parse_args()
    program = shutil.which("schemathesis", path=str(pathlib.Path(sys.executable).parent)) or shutil.which(
        "st"
    )
    if program is None:
        sys.exit("pip install schemathesis")
    with tempfile.TemporaryDirectory() as name:
        model = export_model(pathlib.Path(name))
        pathlib.Path(name, "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
        with running(conveyor_serve(f"m={model}")) as server:
            command = [program, "run", f"{server['rest']}/openapi.json", "--checks", "not_a_server_error"]
            command += ["--max-examples", str(arguments.examples), "--seed", "0", "--workers", "2"]
            sys.exit(subprocess.run(command, cwd=name, check=False).returncode)


if __name__ == "__main__":
    main()
