import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(params=["eager", "data", "xla"])
def way(request):
    return request.param
