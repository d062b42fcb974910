import pathlib
import sys

import pytest
import toy_stages

import conveyor
from conveyor.pipeline import source
from conveyor.pipeline.config import Settings
from conveyor.pipeline.source import code_digest, source_files
from conveyor.pipeline.stage import Stage

# conveyor.toys: importing any of it would fail, because source is to be read, not imported
FILES = {
    "__init__.py": "raise AssertionError('imported')",
    "shared.py": "import conveyor.toys.deeper",
    "deeper.py": "",
    "unused.py": "",
    "train/__init__.py": "",
    "train/stage.py": """
from conveyor.toys.shared import x
from conveyor.pipeline.stage import stage
import json, numpy

def run():
    from conveyor.toys.train import late
""",
    "train/late.py": "import conveyor.toys.family.layers.head as head",
    "train/by_name.py": "from conveyor.toys import named",  # imported by name at run time
    "train/page.jinja": "a template",
    "train/old.pyc": "",
    "train/__pycache__/stage.cpython-311.pyc.139": "",  # Python's, before it renames it
    "train/.stage.py.swp": "",
    "train/inner/module.py": "from . import other",
    "named.py": "",
    "family/__init__.py": "",
    "family/builder.py": "",
    "family/layers/__init__.py": "",
    "family/layers/head.py": "import conveyor.toys.shared",  # a cycle
    "family/layers/other.py": "",
    "other/builder.py": "",
}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A package conveyor.toys; returns its folder."""
    for name, text in FILES.items():
        file = tmp_path / "toys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(conveyor, "__path__", [*conveyor.__path__, str(tmp_path)])
    forget()
    yield tmp_path / "toys"
    forget()


def forget():
    source._imports.cache_clear()
    source._package_folder.cache_clear()


def files_of(toys, module):
    return sorted(file.relative_to(toys).as_posix() for file in source_files(module))


def digest(module="conveyor.toys.train.stage", warm=()):
    def run():
        pass

    run.__module__ = module
    forget()
    return code_digest(Stage(run, {}, {}, Settings, warm))


def test_closure(toys):
    assert files_of(toys, "conveyor.toys.train.stage") == [
        "__init__.py",
        "deeper.py",
        "family/__init__.py",
        "family/builder.py",
        "family/layers/__init__.py",
        "family/layers/head.py",
        "family/layers/other.py",
        "named.py",
        "shared.py",
        "train/__init__.py",
        "train/by_name.py",
        "train/inner/module.py",
        "train/late.py",
        "train/page.jinja",
        "train/stage.py",
    ]
    assert not [name for name in sys.modules if name.startswith("conveyor.toys")]


def test_importing_a_package_counts_its_folder(toys):
    (toys / "shared.py").write_text("import conveyor.toys.family, conveyor.toys.deeper")
    assert files_of(toys, "conveyor.toys.shared") == [
        "deeper.py",
        "family/__init__.py",
        "family/builder.py",
        "family/layers/__init__.py",
        "family/layers/head.py",
        "family/layers/other.py",
        "shared.py",
    ]


def test_shared_module_does_not_count_its_folder(toys):
    assert files_of(toys, "conveyor.toys.deeper") == ["deeper.py"]


@pytest.mark.parametrize(
    "module", ["conveyor.pipeline", "conveyor.pipeline.dag", "conveyor.none.x", "no.such"]
)
def test_engine_and_unknown_modules_count_nothing(module):
    assert source_files(module) == frozenset()


def test_module_outside_conveyor_counts_itself():
    assert source_files("toy_stages") == {pathlib.Path(toy_stages.__file__)}


@pytest.mark.parametrize("name", ["train/stage.py", "train/page.jinja", "deeper.py", "family/layers/head.py"])
def test_edit_changes_the_digest(toys, name):
    before = digest()
    (toys / name).write_text(FILES[name] + "\n")
    assert digest() != before


def test_edit_of_what_is_not_used_changes_nothing(toys):
    before = digest()
    for name in ("unused.py", "train/old.pyc", "train/.stage.py.swp", "other/builder.py"):
        (toys / name).write_text("changed")
    assert digest() == before


def test_new_and_renamed_files_of_the_folder_change_the_digest(toys):
    before = digest()
    (toys / "train" / "page.jinja").rename(toys / "train" / "card.jinja")
    renamed = digest()
    (toys / "train" / "more.jinja").touch()
    assert len({before, renamed, digest()}) == 3


def test_exchanged_files_change_the_digest(toys):
    (toys / "train" / "a.css").write_text("a")
    (toys / "train" / "b.css").write_text("b")
    before = digest()
    (toys / "train" / "a.css").write_text("b")
    (toys / "train" / "b.css").write_text("a")
    assert digest() != before


def test_digest_does_not_depend_on_the_place(toys, tmp_path, monkeypatch):
    before = digest()
    toys.rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere" / "toys")
    monkeypatch.setattr(conveyor, "__path__", [*conveyor.__path__, str(tmp_path / "elsewhere")])
    assert digest() == before


def test_versions_of_heavy_modules_count(toys, monkeypatch):
    versions = {"numpy": "1.0", "scikit-learn": "2.0"}
    monkeypatch.setattr(source.importlib.metadata, "version", versions.__getitem__)
    source._version.cache_clear()
    before = digest(warm=("numpy.linalg", "sklearn", "colorsys"))
    assert before != digest(warm=("numpy", "sklearn"))
    for name in versions:
        with monkeypatch.context() as patch:
            patch.setitem(versions, name, "3.0")
            source._version.cache_clear()
            assert digest(warm=("numpy.linalg", "sklearn", "colorsys")) != before
    source._version.cache_clear()


def test_version_of_a_standard_module_is_that_of_python(monkeypatch):
    source._version.cache_clear()
    before = digest("toy_stages", warm=("colorsys",))
    monkeypatch.setattr(source.platform, "python_version", lambda: "3.99.0")
    source._version.cache_clear()
    assert digest("toy_stages", warm=("colorsys",)) != before
    source._version.cache_clear()
