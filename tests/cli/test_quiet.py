import subprocess
import sys

import pytest

from conveyor.cli.quiet import held_back

PRINT = "import os; os.write(2, b'noise of the machine')"


@pytest.fixture
def import_tensorflow(tmp_path):
    """Imports a stand-in for TensorFlow in a process of its own; returns what that says on stderr."""

    def import_tensorflow(body):
        (tmp_path / "tensorflow.py").write_text(body)
        code = (
            f"import os, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "from conveyor.cli.quiet import quiet_tensorflow\n"
            "quiet_tensorflow(); quiet_tensorflow()\n"
            "import tensorflow\n"
            "os.write(2, b'after')"
        )
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        ).stderr

    return import_tensorflow


def test_its_import_says_nothing(import_tensorflow):
    assert import_tensorflow(PRINT) == "after"


def test_a_failed_import_says_all(import_tensorflow):
    said = import_tensorflow(PRINT + "\nraise ImportError('broken')")
    assert "noise of the machine" in said
    assert "broken" in said


def test_what_is_held_back_comes_with_a_failure(capfd):
    with pytest.raises(ValueError, match="broken"), held_back():  # noqa: PT012
        subprocess.run([sys.executable, "-c", PRINT], check=True)
        raise ValueError("broken")
    assert "noise of the machine" in capfd.readouterr().err
