"""What is installed: one top-level package, with all that it needs, importable from anywhere."""

import pathlib
import subprocess
import sys
import sysconfig
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, pkgutil, conveyor
assert "site-packages/conveyor" in conveyor.__file__, conveyor.__file__
names = [m.name for m in pkgutil.walk_packages(conveyor.__path__, "conveyor.") if "__main__" not in m.name]
for name in names:
    importlib.import_module(name)
from conveyor.components.experiment import shipped_configs
assert "digits_cnn" in shipped_configs()
print(len(names))
"""


@pytest.mark.slow
def test_wheel_in_a_clean_environment(tmp_path):
    run = {"check": True, "capture_output": True, "text": True, "cwd": tmp_path}
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], **run)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*pip, "-w", str(tmp_path), str(source)], **run)
    (wheel,) = tmp_path.glob("conveyor-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"conveyor"}
    tests = [
        name for name in names if "/tests/" in name or pathlib.PurePosixPath(name).name.startswith("test_")
    ]
    assert not tests
    assert not [name for name in names if name.endswith(".pyc")]

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "clean"], **run)
    site = next((tmp_path / "clean" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies of this environment, but not what its .pth files add, such as this checkout.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = tmp_path / "clean" / "bin" / "python"
    done = subprocess.run([str(python), "-c", IMPORT_ALL], **run)
    assert int(done.stdout) > 60


@pytest.mark.parametrize("folder", ["pipeline", "components", "models", "configs"])
def test_mapped_folders_refuse_their_bare_names(folder):
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {folder}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"import conveyor.{folder}, not {folder}" in done.stderr


def test_import_is_light():
    code = "import sys, conveyor; print(len({'pydantic', 'numpy', 'tensorflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_public_names():
    import conveyor

    assert all(getattr(conveyor, name) for name in conveyor.__all__)
    assert set(conveyor.__all__) <= set(dir(conveyor))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        conveyor.nothing  # noqa: B018
