"""Commands in a fork of a process: what they print, how they end, and that they end with their caller."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks survive on Linux alone")

PROGRAM = """
import sys, tempfile
from conveyor.components.infra_validator.forked import Forked
log = tempfile.TemporaryFile()
process = Forked(sys.argv[1:], log.fileno())
told = process.stdout.read()
print(process.wait(30), process.wait(), len(told), told.count(b"digits_cnn"))
log.seek(0)
print(log.read().decode())
"""


def run(*words):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_what_it_prints_and_how_it_ends():
    head, *log = run("configs", "--json")
    assert head.split()[:2] == ["0", "0"]
    assert int(head.split()[3]) >= 2
    assert "".join(log) == ""


def test_an_error_of_the_user():
    head, *log = run("show", "absent", "--workspace", "/nowhere")
    assert head.split()[:2] == ["2", "2"]
    assert "conveyor: " in "".join(log)


@pytest.mark.slow
def test_a_server_ends_with_its_caller(tmp_path):
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "helpers"))
    from served_models import save_means

    model = save_means(tmp_path / "1")
    program = f"""
import os, sys, tempfile, time
import tensorflow
from conveyor.components.infra_validator.forked import Forked
words = ["serve", "m={model}", "--port", "0", "--grpc-port", "0", "--json", "--until-eof"]
process = Forked(words, tempfile.TemporaryFile().fileno())
assert process.stdout.readline() == b"{{\\n"
print(process.pid, flush=True)
time.sleep(60)
"""
    caller = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    server = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and os.path.exists(f"/proc/{server}"):
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{server}")
