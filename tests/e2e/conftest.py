import json
import os
import shutil

import pytest
import warm_cli


class Conveyor:
    """Runs the command line as a user does, in a workspace of its own."""

    # What shrinks any shipped classification config to seconds.
    SMALL = (
        "trainer.epochs=2",
        "trainer.warmup_epochs=0",
        "data.distort=none",
        "evaluator.bootstrap=100",
        "evaluator.bless=null",
        "augment=[]",
        "data.splits={train: 0.6, validation: 0.2, test: 0.2}",
    )
    SMALL_CNN = ("model={family: cnn, filters: [8], dense: 16}", *SMALL)

    def __init__(self, workspace):
        self.workspace = workspace

    def __call__(self, *arguments, code=0, environment=None):
        env = {**os.environ, "CONVEYOR_WORKSPACE": str(self.workspace), **(environment or {})}
        done = warm_cli.run([*map(str, arguments)], env)
        assert done.returncode == code, done.stdout + done.stderr
        assert code == 1 or "Traceback" not in done.stderr
        return done

    def run(self, config, *overrides, code=0, extra=()):
        """Runs a config; returns its summary."""
        options = [part for override in overrides for part in ("-o", override)]
        return json.loads(self("run", config, "--json", *options, *extra, code=code).stdout)

    @staticmethod
    def executed(summary):
        """Returns the names of the stages that ran, not from the cache."""
        return [s["name"] for s in summary["stages"] if s["status"] == "done" and not s["cached"]]

    def published(self):
        """Returns the directories of all published artifacts."""
        return sorted((self.workspace / "artifacts").glob("*/*"))


@pytest.fixture
def conveyor(tmp_path):
    return Conveyor(tmp_path / "workspace")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A workspace for all tests of a file, whose runs have most of the data's stages in common."""
    return Conveyor(tmp_path_factory.mktemp("shared") / "workspace")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A finished small run of digits_cnn; tests must not change it."""
    conveyor = Conveyor(tmp_path_factory.mktemp("digits") / "workspace")
    conveyor.summary = conveyor.run("digits_cnn", *conveyor.SMALL_CNN)
    return conveyor


@pytest.fixture
def copied(digits, conveyor):
    """The finished run of `digits` in a workspace that a test may change."""
    shutil.copytree(digits.workspace, conveyor.workspace)
    conveyor.summary = digits.summary
    return conveyor
