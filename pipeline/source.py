"""Which code a stage's result depends on: the closure of its conveyor imports.

Found by reading source, never by importing it, so that asking costs no TensorFlow import.
"""

import ast
import functools
import importlib.metadata
import importlib.util
import pathlib
import platform
import sys

from conveyor.pipeline.digest import digest_file, digest_of
from conveyor.pipeline.stage import Stage

# The engine moves results and does not make them, so its own source is no part of a key.
_ENGINE = "conveyor.pipeline"
_DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}


def code_digest(stage: Stage) -> str:
    """Returns the digest of the code a stage runs: its own, what it imports, heavy modules' versions."""
    files = sorted([file.name, digest_file(file)] for file in source_files(stage.function.__module__))
    versions = {name: _version(name.partition(".")[0]) for name in stage.warm}
    return digest_of({"files": files, "versions": versions})


def source_files(module: str) -> frozenset[pathlib.Path]:
    """Returns the files a module depends on.

    Importing any module of a stage's or family's folder counts the whole folder, so that modules
    imported by name at run time, and templates, are counted too.
    """
    files: set[pathlib.Path] = set()
    seen: set[str] = set()
    wanted = [module]
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        if (file := _locate(name)) is None:
            continue
        files.add(file)
        wanted += _imports(file)
        # conveyor.components.X.Y belongs to stage X; conveyor.components.X is shared by all stages
        depth = name.count(".") - (file.name != "__init__.py")
        if depth >= 2:
            folder = file.parents[depth - 2]
            inside = [path for path in folder.rglob("*") if _counts(path)]
            files.update(inside)
            wanted += [found for path in inside if path.suffix == ".py" for found in _imports(path)]
    return frozenset(files)


def _counts(path: pathlib.Path) -> bool:
    """Whether a file is no cache of Python's and no editor's or system's hidden one."""
    hidden = path.name.startswith(".") or path.suffix == ".pyc" or "__pycache__" in path.parts
    return path.is_file() and not hidden


def _locate(module: str) -> pathlib.Path | None:
    """Returns a module's file; None for engine modules and for names that are no modules."""
    if module == _ENGINE or module.startswith(_ENGINE + "."):
        return None
    if not module.startswith("conveyor."):
        origin = getattr(sys.modules.get(module), "__file__", None)
        return pathlib.Path(origin) if origin else None
    _, package, *rest = module.split(".")
    base = _package_folder(package)
    if base is None:
        return None
    path = base.joinpath(*rest)
    candidates = (path / "__init__.py", path.with_suffix(".py")) if rest else (path / "__init__.py",)
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def _package_folder(package: str) -> pathlib.Path | None:
    spec = importlib.util.find_spec(f"conveyor.{package}")
    found = spec.submodule_search_locations if spec else None
    return pathlib.Path(next(iter(found))) if found else None


@functools.cache
def _imports(file: pathlib.Path) -> tuple[str, ...]:
    """Returns the conveyor modules (and names in them) that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return tuple(sorted(name for name in found if name.startswith("conveyor.")))


@functools.cache
def _version(module: str) -> str:
    if module in sys.stdlib_module_names:
        return platform.python_version()
    return importlib.metadata.version(_DISTRIBUTIONS.get(module, module))
