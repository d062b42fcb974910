import subprocess
import sys

import pytest

from conveyor.components.tuner.settings import SweepSettings
from conveyor.components.tuner.suggest import suggest

SPACE = {
    "rate": {"log": [1e-5, 1e-1]},
    "width": {"int": [8, 64]},
    "kind": {"choice": {"a": {"x": 1}, "b": {"x": 2}, "c": [3]}},
    "share": {"uniform": [0, 0.5]},
}


def make(sampler, space=SPACE):
    return SweepSettings.model_validate({"space": space, "sampler": sampler})


def run(sweep, count, score=lambda point: 0.0, past=(), seed=0):
    past = list(past)
    while len(past) < count and (point := suggest(sweep, past, seed)) is not None:
        past.append((point, score(point)))
    return past


@pytest.mark.parametrize("sampler", ["tpe", "random"])
class TestSamplers:
    @pytest.fixture(autouse=True)
    def _optuna(self):
        pytest.importorskip("optuna")

    def test_points_are_in_the_space_and_differ(self, sampler):
        past = run(make(sampler), 25)
        for point, _ in past:
            assert 1e-5 <= point["rate"] <= 1e-1
            assert 8 <= point["width"] <= 64
            assert isinstance(point["width"], int)
            assert point["kind"] in (0, 1, 2)
            assert 0 <= point["share"] <= 0.5
        assert len({str(point) for point, _ in past}) == 25
        assert {point["kind"] for point, _ in past} == {0, 1, 2}
        assert min(point["rate"] for point, _ in past) < 1e-4  # a factor is as likely as another

    def test_cut_short_anywhere_it_goes_on_the_same(self, sampler):
        def score(point):
            return None if point["kind"] == 2 else point["share"] - point["rate"]

        whole = run(make(sampler), 16, score)
        for cut in (1, 11, 15):
            assert run(make(sampler), 16, score, past=whole[:cut]) == whole

    def test_the_seed_matters(self, sampler):
        assert run(make(sampler), 3, seed=1) != run(make(sampler), 3, seed=2)

    def test_a_small_space_ends(self, sampler):
        space = {"a": {"choice": [1, 2]}, "b": {"int": [0, 1]}}
        assert len(run(make(sampler, space), 50)) == 4


def test_tpe_learns():
    """Of candidates after the random ones, most lie near the best value."""
    pytest.importorskip("optuna")
    space = {"x": {"uniform": [0, 1]}}
    past = run(make("tpe", space), 40, lambda point: -((point["x"] - 0.8) ** 2))
    late = [abs(point["x"] - 0.8) < 0.2 for point, _ in past[15:]]
    assert sum(late) > 0.7 * len(late)


def test_a_grid_goes_in_order_and_ends_and_needs_no_optuna():
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from conveyor.components.tuner.settings import SweepSettings\n"
        "from conveyor.components.tuner.suggest import suggest\n"
        "from conveyor.pipeline.errors import UserError\n"
        "space = {'a': {'choice': [1, 2]}, 'b': {'choice': [3, 4]}}\n"
        "sweep, past = SweepSettings(sampler='grid', space=space), []\n"
        "while (point := suggest(sweep, past, 0)): past.append((point, None))\n"
        "assert [tuple(point.values()) for point, _ in past] == [(0, 0), (0, 1), (1, 0), (1, 1)]\n"
        "try: suggest(SweepSettings(space=space), [], 0)\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'conveyor[tune]'" in done.stdout, done.stderr
