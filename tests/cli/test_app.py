import json
import os
import subprocess
import sys

import pytest

from conveyor.cli import app
from conveyor.cli.commands import COMMANDS

COLOUR = "\x1b["


def test_every_command_has_its_parts():
    for module in COMMANDS.values():
        assert all(callable(getattr(module, part)) for part in ("add_arguments", "run", "show"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json(call, name):
    code, out, err = call(name, "--help")
    assert (code, err) == (0, "")
    assert "--json" in out
    assert COMMANDS[name].__doc__.splitlines()[0] in out


def test_help_lists_every_command_and_no_flags_of_libraries(call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(f"    {name} " in out for name in COMMANDS)
    assert "verbosity" not in out


def test_version(call):
    assert call("--version")[1].startswith("conveyor 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["evalute"], "did you mean 'evaluate'?"),
        (["zzz"], "one of: configs, deploy"),
        ([], "required: COMMAND"),
        (["run"], "required: CONFIG"),
        (["run", "x", "--untill", "y"], "unrecognized arguments: --untill"),
        (["predict", "m", "i", "--batch-size", "0"], "above 0, received '0'"),
        (["predict", "m", "i", "--batch-size", "many"], "above 0, received 'many'"),
    ],
)
def test_wrong_arguments(call, words, message):
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("words", "overrides", "config"),
    [
        (["-o", "a=1", "-o", "b=2", "c"], ["a=1", "b=2"], "c"),
        (["-o", "a=1", "b.c=2", "c"], ["a=1", "b.c=2"], "c"),
        (["c", "-o", "a=1", "b=2", "--until", "x"], ["a=1", "b=2"], "c"),
        (["-o", "a=-1", "c"], ["a=-1"], "c"),
        (["c", "-o", "not an override"], ["not an override"], "c"),
        (["c"], [], "c"),
    ],
)
def test_overrides(words, overrides, config):
    arguments = app.parse(["run", *words])
    assert (arguments.overrides, arguments.config) == (overrides, config)


def test_a_flag_of_absl_is_understood_after_a_command():
    from absl import logging

    before = logging.get_verbosity()
    app.parse(["runs", "--verbosity=1"])
    assert logging.get_verbosity() == 1
    logging.set_verbosity(before)


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        ("good", 0, ""),
        ("unknown", 2, "conveyor: there is no config 'unknown'\n"),
        ("input", 2, "received: /a[b]/c"),
        ("full_disk", 2, "free some space"),
        ("gate", 3, "train [bold]longer[/bold]"),
        ("bug", 1, "of the stage"),
        ("crash", 1, "RuntimeError: crashed [here]"),
        ("interrupt", 130, "conveyor: interrupted"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_exit_codes(start, config, code, message, as_json):
    done = start("run", config, *(["--json"] if as_json else []))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert ("Traceback" in done.stderr) == (code == 1)
    assert "noise" not in done.stdout
    assert COLOUR not in done.stdout + done.stderr
    if as_json and code != 130:
        document = json.loads(done.stdout)
        assert document.get("error", {"exit_code": 0})["exit_code"] == code


def test_what_libraries_and_native_code_print_goes_to_stderr(start):
    done = start("run", "good", "--json")
    assert json.loads(done.stdout)["run"]
    assert "noise of a library" in done.stderr
    assert "noise of native code" in done.stderr


@pytest.mark.parametrize(
    ("words", "steps"), [([], False), (["--verbosity=0"], True), (["--verbosity=-2"], False)]
)
def test_how_much_is_logged(start, words, steps):
    done = start("run", "good", "--json", *words)
    assert json.loads(done.stdout)["run"]
    assert ("a step of a library" in done.stderr) == steps
    assert ("a warning of a library" in done.stderr) == ("--verbosity=-2" not in words)


def test_an_error_without_a_run_is_one_document(start):
    done = start("run", "unknown", "--json")
    assert json.loads(done.stdout) == {
        "error": {
            "kind": "UserError",
            "what": "there is no config 'unknown'",
            "expected": "",
            "received": "",
            "where": "",
            "fix": "did you mean 'digits_cnn'?",
            "exit_code": 2,
        }
    }


def test_module_and_console_script_are_the_same_program():
    script = os.path.join(os.path.dirname(sys.executable), "conveyor")
    for command in ([script], [sys.executable, "-m", "conveyor"]):
        done = subprocess.run([*command, "rnu"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "conveyor: error:" in done.stderr


@pytest.mark.parametrize(
    "words", [["predict", "m", *map(str, range(20_000))], ["run", "good"], ["run", "good", "--json"]]
)
def test_a_closed_pipe_is_quiet(fakes, words):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, fakes.__file__, *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == app.CLOSED_PIPE
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_full_disk_below_stdout_is_the_users_to_mend(fakes):
    with open("/dev/full", "w") as full:
        command = [sys.executable, fakes.__file__, "run", "good", "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_stdout_at_all(fakes):
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} {fakes.__file__} run good >&-"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
