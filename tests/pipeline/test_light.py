import pkgutil
import subprocess
import sys

import pytest

import conveyor.pipeline

HEAVY = {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "numpy", "PIL", "sklearn", "pyarrow"}
MODULES = [module.name for module in pkgutil.walk_packages(conveyor.pipeline.__path__, "conveyor.pipeline.")]


def test_engine_imports_nothing_heavy():
    assert len(MODULES) > 10
    code = (
        "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *MODULES], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert set(MODULES) <= loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY


def test_folder_is_not_importable_under_its_bare_name(monkeypatch):
    for path in conveyor.pipeline.__path__:
        monkeypatch.syspath_prepend(path.rpartition("/")[0])
    with pytest.raises(ImportError, match="a part of conveyor"):
        import pipeline  # noqa: F401
