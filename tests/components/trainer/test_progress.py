import io
import subprocess
import sys

import pytest

from conveyor.components.trainer import progress
from conveyor.components.trainer.progress import Told


def told(done=0):
    """Of 4 epochs of 250 examples in 10 steps."""
    found = Told(250, 4, 10, done)
    found.on_train_begin()
    return found


@pytest.fixture
def clock(monkeypatch):
    moment = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: moment[0])
    return moment


def test_line_has_rate_loss_and_time_left(clock, tmp_path, monkeypatch):
    file = tmp_path / "line"
    monkeypatch.setenv(progress.PROGRESS_FILE, str(file))
    line = told()
    line.on_epoch_begin(1)
    clock[0] += 10
    line.on_train_batch_end(4, {"loss": 0.51234})  # 15 steps in 10 seconds; 25 to go
    text = file.read_text(encoding="utf-8")
    assert text == "epoch 2/4 · step 5/10 · 38 images/s · loss 0.5123 · 0:17 left"


def test_steps_before_a_resume_do_not_count_for_the_rate(clock, tmp_path, monkeypatch):
    monkeypatch.setenv(progress.PROGRESS_FILE, str(tmp_path / "line"))
    line = told(done=20)
    line.on_epoch_begin(2)
    clock[0] += 10
    line.on_train_batch_end(9, {"loss": 1.0})
    assert "25 images/s" in (tmp_path / "line").read_text(encoding="utf-8")
    assert "0:10 left" in (tmp_path / "line").read_text(encoding="utf-8")


def test_line_is_not_updated_at_every_step(clock, tmp_path, monkeypatch):
    monkeypatch.setenv(progress.PROGRESS_FILE, str(tmp_path / "line"))
    line = told()
    line.on_epoch_begin(0)
    line.on_train_batch_end(0, {"loss": 1.0})
    assert not (tmp_path / "line").exists()


def test_where_there_is_no_terminal_nothing_is_drawn(clock, monkeypatch):
    monkeypatch.delenv(progress.PROGRESS_FILE, raising=False)
    stream = io.StringIO()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    line = told()
    line.on_epoch_begin(0)
    clock[0] += 10
    line.on_train_batch_end(0, {"loss": 1.0})
    line.on_train_end()
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_line_is_drawn_on_a_terminal_of_ours_only(monkeypatch, is_ours):
    monkeypatch.delenv(progress.PROGRESS_FILE, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", stream)
    monkeypatch.setattr(progress, "_owns_terminal", lambda: is_ours)
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    line = told()
    line.on_epoch_begin(0)
    line.on_train_batch_end(4, {"loss": 1.0})
    line.on_train_end()
    assert bool(stream.getvalue()) == is_ours


def test_a_terminal_of_another_session_is_not_ours():
    code = (
        "import os, pty, sys; _, slave = pty.openpty(); os.dup2(slave, 2)\n"
        "from conveyor.components.trainer.progress import _owns_terminal\n"
        "print(sys.stderr.isatty(), _owns_terminal())"
    )
    words = [sys.executable, "-c", code]
    told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, start_new_session=True)
    assert told.stdout == "True False\n"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (75.4, "1:15"), (3675, "1:01:15")])
def test_clock(seconds, text):
    assert progress._clock(seconds) == text
