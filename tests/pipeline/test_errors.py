import errno

import pytest

from conveyor.pipeline.errors import (
    ConveyorError,
    GateError,
    StageError,
    UserError,
    did_you_mean,
    from_os_error,
)

FIELDS = {"expected": "an e", "received": "an r", "where": "a w", "fix": "an f"}


@pytest.mark.parametrize(("kind", "code"), [(StageError, 1), (UserError, 2), (GateError, 3)])
def test_round_trip(kind, code):
    error = ConveyorError.from_dict(kind("what", **FIELDS).to_dict())
    assert type(error) is kind
    assert error.exit_code == code
    assert error.to_dict() == {"kind": kind.__name__, "what": "what", **FIELDS}


def test_message_holds_the_fields_that_are_given():
    assert str(UserError("wrong", where="here", fix="mend it")) == (
        "wrong\n  where:    here\n  fix:      mend it"
    )


@pytest.mark.parametrize(
    ("name", "options", "hint"),
    [
        ("epoch", ["epochs", "seed"], "did you mean 'epochs'?"),
        ("trainer", ["transform", "trainers"], "did you mean 'trainers' or 'transform'?"),
        ("zzz", ["b", "a", "a"], "one of: a, b"),
        ("zzz", [], ""),
    ],
)
def test_did_you_mean(name, options, hint):
    assert did_you_mean(name, options) == hint


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS])
def test_refusals_of_the_system_are_for_the_user(number):
    error = from_os_error(OSError(number, "refused", "/some/file"))
    assert (error.what, error.where) == ("refused", "/some/file")
    assert error.fix


def test_full_disk_told_by_a_native_library():
    error = from_os_error(RuntimeError("SaveV2: /a/b: No space left on device [Op:SaveV2]"))
    assert error.what == "No space left on device"
    assert "free some space" in error.fix
    assert from_os_error(OSError("Unable to write: error message = 'No space left on device'")).fix
    assert from_os_error(RuntimeError("something else")) is None


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "no such file"), OSError("no number")])
def test_other_system_errors_are_bugs(error):
    assert from_os_error(error) is None
