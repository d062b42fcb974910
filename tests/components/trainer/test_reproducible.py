import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parent / "toys" / "train_once.py"


@pytest.mark.slow
def test_fresh_processes_train_the_same_model_byte_by_byte(run, tmp_path):
    words = [sys.executable, SCRIPT, run.examples.path, run.graph.path]
    started = [
        subprocess.Popen([*map(str, words), str(tmp_path / name)], stdout=subprocess.PIPE)
        for name in ("one", "other")
    ]
    digests = [process.communicate()[0].decode().strip() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len(digests[0]) == 32
    assert digests[0] == digests[1]
