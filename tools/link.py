"""Makes `.link/conveyor`, a farm of symbolic links that looks as the installed package does.

Type checkers and import-linter cannot see the package map in setup.py; run them in `.link`.
"""

import pathlib
import shutil

ROOT = pathlib.Path(__file__).parents[1]
MAPPED = ("pipeline", "components", "models", "configs")


def main() -> None:
    """Makes the farm anew."""
    farm = ROOT / ".link"
    shutil.rmtree(farm, ignore_errors=True)
    package = farm / "conveyor"
    package.mkdir(parents=True)
    for entry in (ROOT / "conveyor").iterdir():
        if entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    for folder in MAPPED:
        (package / folder).symlink_to(ROOT / folder)


if __name__ == "__main__":
    main()
