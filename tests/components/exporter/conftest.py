import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "trainer" / "toys"))

from small_run import make_small_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A small run, the same in all tests: not to be changed."""
    return make_small_run(tmp_path_factory.getbasetemp() / "small_run")
