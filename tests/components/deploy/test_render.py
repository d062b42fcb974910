"""Manifests against the schemas that their readers publish."""

import json
import shutil
import subprocess

import kserve
import kubernetes.client
import pytest
import yaml
from google.cloud import aiplatform_v1 as aiplatform
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from conveyor.components.deploy import render as rendering
from conveyor.components.deploy.render import Deployment, render
from conveyor.pipeline.errors import UserError


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "my models"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "saved_model.pb").touch()
    return folder


@pytest.fixture
def bucket(monkeypatch):
    """No bucket is looked into."""
    monkeypatch.setattr(rendering, "find_saved_model", lambda _: None)


def test_docker_mounts_the_folder_and_configures_tensorflow_serving(base, tmp_path):
    files = render(Deployment(str(base), "digits"), "docker", tmp_path / "deploy")
    assert [file.name for file in files] == [
        "models.config",
        "monitoring.config",
        "batching.config",
        "run.sh",
    ]
    config = text_format.Parse(files[0].read_text(), model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("digits", "/models/digits", "tensorflow")
    shell = tmp_path / "docker"
    shell.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    shell.chmod(0o755)
    done = subprocess.run(
        [files[3]], capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    words = done.stdout.splitlines()
    assert words[:3] == ["run", "--rm", "-p"]
    assert f"{base}:/models/digits:ro" in words  # the space in its name is no end of a word
    assert f"{tmp_path / 'deploy'}:/config:ro" in words
    assert "127.0.0.1:8501:8501" in words
    assert "--model_config_file=/config/models.config" in words


@pytest.mark.usefixtures("bucket")
def test_docker_reads_a_bucket_itself(tmp_path):
    files = render(Deployment("gs://b/digits", "digits", "mine:1"), "docker", tmp_path)
    config = text_format.Parse(files[0].read_text(), model_server_config_pb2.ModelServerConfig())
    assert config.model_config_list.config[0].base_path == "gs://b/digits"
    assert "mine:1" in files[3].read_text()
    assert ":/models/" not in files[3].read_text()


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("base", ["gs://b/digits", "s3://b/digits", "pvc://claim/digits"])
def test_the_manifest_is_one_of_kserve(tmp_path, base):
    (file,) = render(Deployment(base, "Digits_CNN"), "kserve", tmp_path)
    manifest = yaml.safe_load(file.read_text())
    _check(manifest, "V1beta1InferenceService")
    assert (manifest["kind"], manifest["apiVersion"]) == ("InferenceService", "serving.kserve.io/v1beta1")
    assert manifest["metadata"]["name"] == "digits-cnn"
    model = manifest["spec"]["predictor"]["model"]
    assert (model["storageUri"], model["modelFormat"]) == (base, {"name": "tensorflow"})
    model["storageURI"] = base
    with pytest.raises(AssertionError, match="V1beta1ModelSpec has no storageURI"):
        _check(manifest, "V1beta1InferenceService")


def _check(value, kind):
    """Checks a part of a manifest against the class that KServe, or Kubernetes, has for it."""
    if kind in ("str", "int"):
        assert type(value).__name__ == kind
        return
    if kind.lower().startswith("dict"):
        assert all(isinstance(one, str) for pair in value.items() for one in pair)
        return
    found = getattr(kserve, kind, None) or getattr(kubernetes.client, kind)
    attributes = {key: attribute for attribute, key in found.attribute_map.items()}
    for key, inner in value.items():
        assert key in attributes, f"{kind} has no {key}"
        _check(inner, found.openapi_types[attributes[key]])


@pytest.mark.usefixtures("bucket")
def test_requests_are_those_of_vertex(tmp_path):
    files = {file.name: file for file in render(Deployment("gs://b/digits", "digits"), "vertex", tmp_path)}
    read = {name: json.loads(file.read_text()) for name, file in files.items() if name.endswith(".json")}
    model = aiplatform.UploadModelRequest.from_json(json.dumps(read["model.json"])).model
    assert model.artifact_uri == "gs://b/digits"
    assert model.container_spec.predict_route == "/v1/models/digits:predict"
    assert model.container_spec.ports[0].container_port == 8080
    assert aiplatform.Endpoint.from_json(json.dumps(read["endpoint.json"])).display_name == "digits"
    deployed = aiplatform.DeployModelRequest.from_json(json.dumps(read["deploy.json"]))
    assert deployed.deployed_model.dedicated_resources.machine_spec.machine_type == "n1-standard-2"
    assert dict(deployed.traffic_split) == {"0": 100}


@pytest.mark.usefixtures("bucket")
def test_the_script_for_vertex_sends_them_in_turn(tmp_path):
    files = render(Deployment("gs://b/digits", "digits"), "vertex", tmp_path / "out")
    log = tmp_path / "log"
    answers = {
        "models:upload": {"name": "operations/1"},
        "endpoints": {"name": "operations/2"},
        "deployModel": {"name": "operations/3"},
        "operations/1": {"done": True, "response": {"model": "models/7"}},
        "operations/2": {"done": True, "response": {"name": "endpoints/8"}},
        "operations/3": {"done": True, "response": {}},
    }
    curl = tmp_path / "curl"
    curl.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        f"open({str(log)!r}, 'a').write(json.dumps(sys.argv[1:]) + chr(10))\n"
        f"answers = {answers!r}\n"
        "url = next(word for word in sys.argv if word.startswith('https'))\n"
        "print(json.dumps(next(answers[key] for key in answers if url.endswith(key)), indent=1))\n"
    )
    gcloud = tmp_path / "gcloud"
    gcloud.write_text("#!/bin/sh\necho secret\n")
    for program in (curl, gcloud):
        program.chmod(0o755)
    python = shutil.which("python3")
    path = f"{tmp_path}:{python.rpartition('/')[0]}:/usr/bin:/bin"
    environment = {"PATH": path, "PROJECT": "p", "REGION": "r"}
    done = subprocess.run([files[-1]], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stderr == ""
    assert done.stdout == "endpoints/8\n"
    sent = [json.loads(line) for line in log.read_text().splitlines()]
    urls = [next(word for word in words if word.startswith("https")) for words in sent]
    start = "https://r-aiplatform.googleapis.com/v1"
    assert urls[0] == f"{start}/projects/p/locations/r/models:upload"
    assert urls[-2:] == [f"{start}/endpoints/8:deployModel", f"{start}/operations/3"]
    assert '"model": "models/7"' in sent[-2][-1]


@pytest.mark.parametrize(
    ("target", "name", "what"),
    [
        ("dockr", "digits", "nothing is known of 'dockr'"),
        ("kserve", "digits", "a cluster cannot read this folder"),
        ("vertex", "digits", "Vertex AI cannot read this folder"),
    ],
)
def test_what_is_wrong_is_told(base, tmp_path, target, name, what):
    with pytest.raises(UserError, match=what):
        render(Deployment(str(base), name), target, tmp_path / "deploy")
    with pytest.raises(UserError, match="no exported model"):
        render(Deployment(str(tmp_path / "absent"), name), "docker", tmp_path / "deploy")
    assert not (tmp_path / "deploy").exists()


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("name", ["7", "x" * 50, "___"])
def test_names_that_kserve_cannot_use(tmp_path, name):
    with pytest.raises(UserError, match="KServe cannot use this name"):
        render(Deployment("gs://b/m", name), "kserve", tmp_path)
