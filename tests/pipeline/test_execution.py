import errno
import json

import pytest
import toy_stages

from conveyor.pipeline.artifacts import Artifact, seal
from conveyor.pipeline.errors import ConveyorError
from conveyor.pipeline.execution import execute, make_spec, resolve


@pytest.fixture
def spec(control, tmp_path):
    """Describes an execution of `fit` on a data artifact that says "data"."""
    for name in ("data", "fitted", "scratch"):
        (tmp_path / name).mkdir()
    data = toy_stages.Data(tmp_path / "data", {"rows": 3})
    data.write("data")
    seal(data, {})
    return make_spec(
        toy_stages.fit,
        {"control": str(control.path), "value": "v"},
        {"data": str(tmp_path / "data")},
        {"fitted": str(tmp_path / "fitted")},
        {
            "run": "run-1",
            "workspace": str(tmp_path),
            "scratch": str(tmp_path / "scratch"),
            "lineage": [{"stage": "load"}],
        },
    )


def error_of(result):
    return ConveyorError.from_dict(result["error"])


def test_spec_is_json(spec):
    assert json.loads(json.dumps(spec)) == spec
    assert spec["stage"] == "toy_stages:fit"


def test_resolve():
    assert resolve("toy_stages:fit") is toy_stages.fit


def test_result(spec, control, tmp_path):
    control.do(
        "fit",
        "output.properties['epochs'] = (1, 2)\n"
        "context.look('test', 'report')\n"
        "context.note('it took a while')\n"
        "(context.scratch / 'seen').write_text(\n"
        "    f'{context.run} {context.workspace} {context.lineage}')\n",
    )
    assert execute(spec) == {
        "properties": {"fitted": {"epochs": [1, 2]}},  # as JSON has it, like a cached one
        "looks": [{"split": "test", "purpose": "report"}],
        "notes": ["it took a while"],
    }
    assert (tmp_path / "fitted" / "text.txt").read_text() == "data, fitted v"
    assert (tmp_path / "scratch" / "seen").read_text() == f"run-1 {tmp_path} [{{'stage': 'load'}}]"


def test_absent_optional_input_is_none(control, tmp_path):
    (tmp_path / "card").mkdir()
    inputs = {"data": None, "page": None}
    context = {"workspace": "", "scratch": ""}
    control.do("card", "raise UserError(str(context))")
    spec = make_spec(
        toy_stages.card, {"control": str(control.path)}, inputs, {"card": str(tmp_path / "card")}, context
    )
    assert error_of(execute(spec)).what.startswith("Context(")


@pytest.mark.parametrize(("kind", "code"), [("UserError", 2), ("GateError", 3)])
def test_errors_for_the_user_keep_their_fields(spec, control, kind, code):
    control.do("fit", f"raise {kind}('what', expected='e', received='r', where='w', fix='f')")
    result = execute(spec)
    error = error_of(result)
    assert error.exit_code == code
    assert error.to_dict() == {
        "kind": kind, "what": "what", "expected": "e", "received": "r", "where": "w", "fix": "f"
    }  # fmt: skip
    assert result["traceback"] == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_refusal_of_the_system_is_for_the_user(spec, control, number):
    control.do("fit", f"raise OSError({number}, os.strerror({number}), '/some/file')")
    result = execute(spec)
    assert (error_of(result).exit_code, error_of(result).where) == (2, "/some/file")
    assert result["traceback"] == ""


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("{}['absent']", "KeyError: 'absent'"),
        ("open('/nowhere/at/all')", "FileNotFoundError"),
        # else a library that calls sys.exit(0) would end the run as if all were done
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("output.properties['loss'] = float('nan')", "ValueError: Out of range float values"),
        ("output.properties['model'] = object()", "TypeError: Object of type object"),
    ],
)
def test_any_other_exception_is_a_bug_with_a_traceback(spec, control, code, what):
    control.do("fit", code)
    result = execute(spec)
    error = error_of(result)
    assert (error.exit_code, error.where) == (1, "stage toy_stages:fit")
    assert error.what.startswith(what)
    assert "Traceback" in result["traceback"]
    assert what.split(":")[0] in result["traceback"]


def test_interrupt_is_not_an_error_of_the_stage(spec, control):
    control.do("fit", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        execute(spec)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"stage": "toy_stages:nothing"}, "AttributeError"),
        ({"stage": "no_such_module:fit"}, "ModuleNotFoundError"),
        ({"inputs": {"data": "/nowhere"}}, "FileNotFoundError"),
        ({"settings": {}}, "ValidationError"),
    ],
)
def test_wrong_spec_is_a_bug(spec, change, what):
    assert error_of(execute({**spec, **change})).what.startswith(what)


def test_inputs_are_of_their_own_type(spec, control, tmp_path):
    control.do("fit", "raise UserError(str(type(output).__mro__))")
    assert "toy_stages.Fitted" in error_of(execute(spec)).what
    assert type(toy_stages.Data.load(tmp_path / "data")) is toy_stages.Data is not Artifact
