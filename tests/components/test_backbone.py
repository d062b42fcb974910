"""Which backbone a config means, found when the pipeline is wired."""

import zipfile

import pytest

from conveyor.components.artifacts import Model
from conveyor.components.backbone import resolve_backbone
from conveyor.components.experiment import Experiment, build_pipeline
from conveyor.models.linear.settings import LinearSettings
from conveyor.models.pretrained.settings import PretrainedSettings
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.digest import digest_file
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.workspace import Workspace

STATISTICS = {"height": 2, "width": 2, "channels": 1, "mean": [33.0], "std": [7.0]}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


def write_keras(path, content="{}"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", content)
    return path


def add_run(workspace, config, content="{}", properties=None, finished=True):
    """Records a run that has trained a model; returns its name and the artifact."""
    run = workspace.new_run(config, {})
    path = workspace.root / "staging" / run
    path.mkdir()
    model = Model(path, properties if properties is not None else {"input": STATISTICS})
    write_keras(model.keras_file, content)
    seal(model, {})
    model.path = workspace.publish(model)
    execution = workspace.store.start_execution(run, "trainer", run, {})
    relative = model.path.relative_to(workspace.root).as_posix()
    workspace.store.finish_execution(execution, 1.0, {}, {"model": (model.digest, "Model", relative)}, [])
    workspace.store.record_artifacts(run, {"trainer": {"model": model.digest}})
    if finished:
        workspace.finish_run(run, {"run": run, "config": config})
    return run, model


def resolve(backbone, workspace, normalize="rescale"):
    settings = PretrainedSettings(family="pretrained", backbone=backbone, dense=3)
    found = resolve_backbone(settings, normalize, workspace.root)
    assert found.dense == 3
    return found.backbone


def test_run_by_name_config_digest_or_path_is_one_backbone(workspace):
    run, model = add_run(workspace, "mnist_autoencoder")
    found = resolve({"run": run}, workspace)
    assert found.path == str(model.path / "model.keras")
    assert found.digest == model.digest
    assert (found.run, found.mean, found.std) == ("", [33.0], [7.0])
    for backbone in ({"run": "mnist_autoencoder"}, {"artifact": model.digest[:8]}, {"path": str(model.path)}):
        assert resolve(backbone, workspace) == found


def test_config_means_its_newest_run_that_has_ended(workspace):
    first, _ = add_run(workspace, "one", '{"a": 1}')
    _, second = add_run(workspace, "one", '{"a": 2}')
    add_run(workspace, "one", '{"a": 3}', finished=False)
    add_run(workspace, "other", '{"a": 4}')
    workspace.finish_run(workspace.new_run("one", {}), {"run": "without a model"})
    assert resolve({"run": "one"}, workspace).digest == second.digest
    assert resolve({"run": first}, workspace).digest != second.digest


def test_another_content_is_another_cache_key_and_the_same_is_not(workspace, tmp_path):
    file = write_keras(tmp_path / "model.keras")
    first = resolve({"path": str(file)}, workspace)
    assert first.digest == digest_file(file)
    assert resolve({"path": str(file)}, workspace) == first
    write_keras(file, '{"changed": true}')
    assert resolve({"path": str(file)}, workspace) != first


def test_trainer_is_given_what_was_found(workspace):
    _, model = add_run(workspace, "mnist_autoencoder")
    backbone = {"run": "mnist_autoencoder"}
    experiment = Experiment(data={"source": "digits"}, model={"family": "pretrained", "backbone": backbone})
    pipeline = build_pipeline(experiment, "mine", workspace.root)
    settings = next(node.settings for node in pipeline.nodes if node.name == "trainer")
    assert settings.model.backbone.digest == model.digest
    assert experiment.model.backbone.run == "mnist_autoencoder"


def test_users_own_normalization_of_a_file(workspace, tmp_path):
    file = write_keras(tmp_path / "model.keras")
    assert resolve({"path": str(file)}, workspace).mean == []
    assert resolve({"path": str(file), "mean": [1.0], "std": [2.0]}, workspace).mean == [1.0]
    _, model = add_run(workspace, "one")
    assert resolve({"path": str(model.path), "mean": [1.0], "std": [2.0]}, workspace).std == [2.0]


def test_application_needs_no_file(workspace):
    found = resolve({"application": "resnet50"}, workspace)
    assert (found.path, found.digest, found.weights) == ("", "", "imagenet")


def test_weights_of_a_file(workspace, tmp_path):
    (tmp_path / "w.weights.h5").write_bytes(b"weights")
    backbone = {"application": "resnet50", "weights": str(tmp_path / "w.weights.h5")}
    assert resolve(backbone, workspace).digest == digest_file(tmp_path / "w.weights.h5")
    with pytest.raises(UserError, match="not there"):
        resolve({"application": "resnet50", "weights": str(tmp_path / "none.h5")}, workspace)
    (tmp_path / "w.npz").write_bytes(b"weights")
    with pytest.raises(UserError, match="cannot be used"):
        resolve({"application": "resnet50", "weights": str(tmp_path / "w.npz")}, workspace)


def test_other_families_stay_as_they_are(workspace):
    settings = LinearSettings(family="linear")
    assert resolve_backbone(settings, "standardize", workspace.root) is settings


def test_digest_that_pins_the_content(workspace, tmp_path):
    file = write_keras(tmp_path / "model.keras")
    pinned = {"path": str(file), "digest": digest_file(file)}
    assert resolve(pinned, workspace).digest == pinned["digest"]
    write_keras(file, '{"changed": true}')
    with pytest.raises(UserError, match="another content"):
        resolve(pinned, workspace)


# === bad input ===


def test_normalised_input_is_refused_unless_it_learns_from_scratch(workspace):
    with pytest.raises(UserError, match="normalises them by itself") as caught:
        resolve({"application": "resnet50"}, workspace, "standardize")
    assert caught.value.expected == "transform.normalize=rescale"
    resolve({"application": "resnet50", "weights": "none"}, workspace, "standardize")


def test_unknown_run_has_close_matches(workspace):
    add_run(workspace, "mnist_autoencoder")
    with pytest.raises(UserError, match="no run 'mnist_autoencodr'") as caught:
        resolve({"run": "mnist_autoencodr"}, workspace)
    assert "did you mean 'mnist_autoencoder'" in caught.value.fix


def test_run_that_trained_nothing(workspace):
    workspace.finish_run(workspace.new_run("one", {}), {"run": "x"})
    with pytest.raises(UserError, match="no run of 'one' has trained a model"):
        resolve({"run": "one"}, workspace)


def test_workspace_without_runs_is_not_made(tmp_path):
    settings = PretrainedSettings(family="pretrained", backbone={"run": "one"})
    with pytest.raises(UserError, match="the workspace has none"):
        resolve_backbone(settings, "rescale", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("digest", ["ffffff", "%", "a", "../../etc"])
def test_digest_of_no_model(workspace, digest):
    add_run(workspace, "one")
    with pytest.raises(UserError, match="no Model artifacts have a digest"):
        resolve({"artifact": digest}, workspace)


def test_artifact_with_a_file_missing(workspace):
    _, model = add_run(workspace, "one")
    model.keras_file.unlink()
    with pytest.raises(UserError, match="cannot be used") as caught:
        resolve({"run": "one"}, workspace)
    assert "all its files" in caught.value.expected


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_file_that_is_no_model(workspace, tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be used"):
        resolve({"path": str(tmp_path / name)}, workspace)


def test_path_that_is_not_there(workspace, tmp_path):
    with pytest.raises(UserError, match="not there"):
        resolve({"path": str(tmp_path / "model.keras")}, workspace)
