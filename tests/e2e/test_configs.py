"""Every shipped config runs, shrunk; every command in the docs is one that exists."""

import math
import pathlib
import re
import shlex

import pytest
from small_images import class_files, write_files

from conveyor.components.experiment import Experiment, load_experiment, shipped_configs

ROOT = pathlib.Path(__file__).parents[2]
# data and weights are downloaded, which is not done here
ONLINE = {"cifar10_resnet", "flowers_finetune", "pets_unet", "voc_ssd"}
TRUNK = "model.backbone={family: cnn, filters: [4, 4, 4, 4, 4], strides: 2, pool_size: 1}"
SMALLER = {  # what SMALL does not shrink; weights that would be downloaded
    "cifar10_resnet": ("model.depth=8",),
    "flowers_finetune": (
        "model.backbone={application: mobilenet, weights: none}",
        "transform.size=[32, 32]",
    ),
    "nuclei_mask_rcnn": (TRUNK, "model.filters=8", "model.finest=4", "model.coarsest=5"),
    "pets_unet": ("model.backbone.backbone.weights=none",),
    "voc_ssd": ("model.backbone.backbone={application: mobilenet, weights: none}",),
}
# Their families and tasks go all the way with other configs; networks of such sizes take long.
UNTIL = {
    **dict.fromkeys(
        (
            "bccd_faster_rcnn",
            "bccd_ssd",
            "deep_versus_wide",
            "digits_linear",
            "digits_mlp",
            "flowers_finetune",
            "mnist_cnn",
            "mnist_cnn_r",
            "mnist_cnn_rts",
            "mnist_stn_rts",
            "nuclei_fcn",
            "nuclei_unet",
            "pets_unet",
            "voc_ssd",
        ),
        ("--until", "transform"),
    ),
    **dict.fromkeys(
        ("cifar10_resnet", "finetune_from_autoencoder", "mnist_denoiser", "mnist_stn_r"),
        ("--until", "trainer"),
    ),
}
BEFORE = {"finetune_from_autoencoder": "mnist_autoencoder"}  # what must have been run
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_header_and_validity(name):
    head = shipped_configs()[name].read_text(encoding="utf-8").split("\ndata:")[0]
    assert head.startswith("# ")
    assert f"conveyor run {name}" in head
    assert "minute" in head
    measured = re.search(r"\d+\.\d+ \[\d+\.\d+, \d+\.\d+\]", head)
    assert measured or name in ONLINE, "the expected metric with its interval"
    assert isinstance(load_experiment(name), Experiment)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_runs_shrunk(shared, name):
    asks = {"objects", "mask"} & set(load_experiment(name).task.needs)
    source = ("digit_scenes:scenes,count=20,size=64", "transform.size=[64, 64]") if asks else ("digits",)
    small = [*shared.SMALL, f"data.source={source[0]}", *source[1:]]
    small += ["trainer.epochs=1", "evaluator.bootstrap=20", "evaluator.gap=false"]
    if name in BEFORE:
        shared.run(BEFORE[name], *small, extra=["--until", "trainer"])
    summary = shared.run(name, *small, *SMALLER.get(name, ()), extra=UNTIL.get(name, ()))
    assert summary["pushed"] or name in UNTIL
    values = {metric: found["value"] for metric, found in summary["metrics"].items()}
    assert all(math.isfinite(value) for value in values.values() if value is not None)
    chance = 0.1
    assert values.get("accuracy", 1.0) > 1.5 * chance


def _commands():
    for path in DOCS:
        for block in re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("conveyor "):
                    yield pytest.param(line, id=f"{path.name}: {line[:60]}")


@pytest.mark.parametrize("line", _commands())
def test_documented_commands_are_understood(line, tmp_path, monkeypatch):
    from conveyor.cli.app import main, parse

    write_files(tmp_path / "DIR", class_files())
    monkeypatch.chdir(tmp_path)  # where an earlier command of the text has written a config of its own
    if " mine.yaml" in line and not line.startswith("conveyor new "):
        assert main(["new", "DIR", "--out", "mine.yaml"]) == 0

    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    arguments = parse(words)
    if config := getattr(arguments, "config", None):
        load_experiment(config, getattr(arguments, "overrides", []) or [])
