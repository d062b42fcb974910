import json
import os
import pathlib
import signal
import sys

import pytest
import toy_stages

from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.errors import StageError
from conveyor.pipeline.execution import make_spec
from conveyor.pipeline.runners import warm
from conveyor.pipeline.runners.warm import WarmProcess


@pytest.fixture
def process():
    """Starts warm processes and ends them with the test."""
    started = []

    def process(*modules):
        started.append(WarmProcess(modules))
        return started[-1]

    yield process
    for one in started:
        one.close()


@pytest.fixture
def spec(control, tmp_path):
    """Describes an execution of `fit`."""
    (tmp_path / "data").mkdir()
    (tmp_path / "fitted").mkdir()
    data = toy_stages.Data(tmp_path / "data")
    data.write("data")
    seal(data, {})
    return make_spec(
        toy_stages.fit,
        {"control": str(control.path)},
        {"data": str(data.path)},
        {"fitted": str(tmp_path / "fitted")},
        {"workspace": "", "scratch": ""},
    )


@pytest.fixture
def run(spec, tmp_path):
    """Runs the spec in a warm process; every run has a folder of its own, as a stage has."""
    numbers = iter(range(100))

    def run(process):
        folder = tmp_path / f"exchange {next(numbers)}"
        folder.mkdir()
        return process.run(spec, folder)

    return run


def gone(process):
    """Whether a process has ended, if perhaps not yet been waited for."""
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_result_and_content(run, process, control, tmp_path):
    control.do("fit", "output.properties['epochs'] = (1, 2); context.look('test', 'report')")
    assert run(process()) == {
        "properties": {"fitted": {"epochs": [1, 2]}},
        "looks": [{"split": "test", "purpose": "report"}],
        "notes": [],
    }
    assert (tmp_path / "fitted" / "text.txt").read_text() == "data, fitted "
    # the result took no place on a disk, which may be full
    assert [path.name for path in (tmp_path / "exchange 0").iterdir()] == ["spec.json"]


def test_modules_are_there_before_the_stage_is(run, process, control):
    control.do("fit", "output.properties['there'] = [n in sys.modules for n in ('colorsys', 'chunk')]")
    assert run(process("colorsys"))["properties"]["fitted"]["there"] == [True, False]


def test_every_execution_is_in_a_pristine_process(run, process, control):
    control.do(
        "fit",
        "import colorsys\n"
        "output.properties.update(seen=hasattr(colorsys, 'mark'), pid=os.getpid(), parent=os.getppid())\n"
        "colorsys.mark = 1\n",
    )
    warm_process = process("colorsys")
    one, two = (run(warm_process)["properties"]["fitted"] for _ in range(2))
    assert not one["seen"]
    assert not two["seen"]
    assert one["pid"] != two["pid"]
    assert one["parent"] == two["parent"] != os.getpid()


def test_errors_pass(run, process, control):
    control.do("fit", "raise UserError('what', where='here', fix='mend')")
    warm_process = process()
    result = run(warm_process)
    assert result["error"].items() >= {"kind": "UserError", "what": "what", "fix": "mend"}.items()
    assert result["traceback"] == ""
    control.do("fit", "1 / 0")
    result = run(warm_process)
    assert result["error"]["kind"] == "StageError"
    assert "ZeroDivisionError" in result["traceback"]


@pytest.mark.parametrize(
    ("code", "cause", "fix"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL", "memory"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV", "stderr"),
        ("os._exit(3)", "exit status 3", "stderr"),
        ("os._exit(0)", "exit status 0", "stderr"),
        ("raise KeyboardInterrupt", "exit status 1", "stderr"),
    ],
)
def test_child_that_dies(run, process, control, code, cause, fix):
    warm_process = process()
    control.do("fit", code)
    with pytest.raises(StageError, match=f"the process of stage toy_stages:fit .* {cause}") as caught:
        run(warm_process)
    assert fix in caught.value.fix
    control.undo("fit")
    assert "error" not in run(warm_process)  # its parent is unharmed


def test_reason_of_a_death_is_on_stderr(run, process, control, capfd):
    control.do("fit", "raise KeyboardInterrupt('of the stage')")
    with pytest.raises(StageError):
        run(process())
    assert "KeyboardInterrupt: of the stage" in capfd.readouterr().err


def test_module_that_cannot_be_imported(run, process, capfd):
    with pytest.raises(StageError, match="the process that starts it died"):
        run(process("no_such_module"))
    assert "No module named 'no_such_module'" in capfd.readouterr().err


def test_what_modules_say_when_imported_is_told_if_that_fails(run, process, tmp_path, monkeypatch, capfd):
    (tmp_path / "noisy.py").write_text("import os; os.write(2, b'cuda: none')")
    (tmp_path / "broken.py").write_text("import os; os.write(2, b'libcuda: wrong version'); 1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    run(process("noisy"))
    assert "cuda" not in capfd.readouterr().err
    with pytest.raises(StageError):
        run(process("broken"))
    told = capfd.readouterr().err
    assert "libcuda: wrong version" in told
    assert "ZeroDivisionError" in told


def test_stage_that_closes_its_streams(run, process, control):
    control.do("fit", "sys.stdout.close(); sys.stderr.close()")
    assert "error" not in run(process())


def test_parent_that_is_killed(run, process, control):
    control.do("fit", "os.kill(os.getppid(), signal.SIGKILL); signal.pause()")
    warm_process = process()
    with pytest.raises(StageError, match="the process that starts it died"):
        run(warm_process)
    with pytest.raises(StageError):
        run(warm_process)  # nor later


def test_what_a_stage_prints_is_no_reply(run, process, control, capfd):
    control.do("fit", "print('7\\n' * 1000); os.write(1, b'native\\n')")
    assert "error" not in run(process())
    out, err = capfd.readouterr()
    assert out == ""
    assert "7\n7\n" in err
    assert "native" in err


def test_stage_cannot_read_what_is_meant_for_its_parent(run, process, control):
    control.do("fit", "output.properties['read'] = sys.stdin.read()")
    assert run(process())["properties"]["fitted"]["read"] == ""


def test_close_ends_the_parent_with_its_children(process, control, spec, tmp_path):
    control.do(
        "fit",
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "(control / 'pids.part').write_text(f'{os.getppid()} {os.getpid()} {child.pid}')\n"
        "(control / 'pids.part').rename(control / 'pids')\n"
        "signal.pause()",
    )
    warm_process = process()
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    print(json.dumps(str(tmp_path / "spec.json")), file=warm_process._process.stdin, flush=True)
    toy_stages.wait_until((control.path / "pids").exists)
    pids = (control.path / "pids").read_text().split()
    assert not any(gone(pid) for pid in pids)
    warm_process.close()
    toy_stages.wait_until(lambda: all(gone(pid) for pid in pids))
    warm_process.close()  # again


def test_close_does_not_wait_for_imports(process, tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text("import signal; open('began', 'w').close(); signal.pause()")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    warm_process = process("endless")
    toy_stages.wait_until((tmp_path / "began").exists)
    warm_process.close()
    assert warm_process._process.returncode == -signal.SIGKILL


def test_finds_the_modules_that_its_starter_finds(run, process, control, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "only_here.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    control.do("fit", "output.properties['path'] = sys.path")
    assert run(process("only_here"))["properties"]["fitted"]["path"] == sys.path


def test_files_of_the_working_directory_are_no_modules(run, process, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise AssertionError('a file of the user')")
    monkeypatch.chdir(tmp_path)
    assert "error" not in run(process())


@pytest.mark.parametrize("name", ["café", "two\nlines", os.fsdecode(b"caf\xe9")])
def test_any_name_of_a_folder(spec, process, tmp_path, name):
    (tmp_path / name).mkdir()
    assert "error" not in process().run(spec, tmp_path / name)


def test_where_processes_do_not_survive_a_fork(spec, tmp_path, monkeypatch):
    # other systems: a new process per execution
    monkeypatch.setattr(warm.sys, "platform", "darwin")
    monkeypatch.setattr(os, "fork", None)
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    reader, writer = os.pipe()
    assert warm._run_child(str(tmp_path / "spec.json"), writer) == 0
    os.close(writer)
    with open(reader, encoding="utf-8") as replies:
        assert json.load(replies)["looks"] == []


def test_environment(run, process, control, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    names = ["TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"]
    control.do("fit", f"output.properties['env'] = [os.environ.get(n) for n in {names}]")
    assert run(process())["properties"]["fitted"]["env"] == ["0", "tensorflow"]


def test_parent_ends_when_its_starter_does(start):
    # at once, though idle: its stdin is closed
    _kill_starter(start)


def test_parent_ends_when_its_starter_does_while_it_imports(start, tmp_path):
    (tmp_path / "endless.py").write_text("import time\nwhile True: time.sleep(0.1)")
    _kill_starter(start, f"sys.path.insert(0, {str(tmp_path)!r})", "endless")


def _kill_starter(start, setup="", *modules):
    code = (
        "import os, sys\n"
        f"{setup}\n"
        "from conveyor.pipeline.runners.warm import WarmProcess\n"
        f"WarmProcess({modules})\n"
        "print('{}', flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    starter = start("-c", code)
    assert starter.process.wait(timeout=30) == -signal.SIGKILL
    toy_stages.wait_until(lambda: not starter.alive())
