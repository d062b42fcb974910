"""Files that start a model server for a serving folder. Nothing is started here."""

import dataclasses
import importlib.metadata
import json
import pathlib
import re
import shlex
import typing

import yaml

from conveyor.components.evaluator.saved_model import find_saved_model
from conveyor.pipeline.errors import UserError, did_you_mean

_LABEL = re.compile(
    r"[a-z]([-a-z0-9]{0,40}[a-z0-9])?"
)  # of Kubernetes; KServe adds to it, and 63 is the limit
_IN_CLUSTER = ("gs://", "s3://", "pvc://", "hdfs://", "https://")
_REST, _GRPC, _VERTEX = 8501, 8500, 8080  # ports


@dataclasses.dataclass(frozen=True)
class Deployment:
    """What is to be served.

    Args:
        base: The serving folder.
        name: What clients call the model.
        image: Of TensorFlow Serving; "" for the one of the version that is installed here.
    """

    base: str
    name: str
    image: str = ""

    @property
    def container(self) -> str:
        """The image."""
        return self.image or f"tensorflow/serving:{importlib.metadata.version('tensorflow-serving-api')}"

    @property
    def is_remote(self) -> bool:
        """Whether other machines can read the folder."""
        return "://" in self.base


def render(deployment: Deployment, target: str, folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes the files of a target.

    Args:
        deployment: What is to be served.
        target: One of `TARGETS`.
        folder: Where to; made if it is not there.

    Returns:
        The files.

    Raises:
        UserError: There is no such target or model, or the target cannot read the folder.
    """
    if target not in TARGETS:
        raise UserError(f"nothing is known of {target!r}", fix=did_you_mean(target, TARGETS))
    if not deployment.base.startswith(("pvc://", "hdfs://", "https://")):
        find_saved_model(deployment.base)
    texts = TARGETS[target](deployment)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if path.suffix == ".sh" else 0o644)
    return [folder / name for name in texts]


def _docker(deployment: Deployment) -> dict[str, str]:
    inside = deployment.base if deployment.is_remote else f"/models/{deployment.name}"
    mount = [] if deployment.is_remote else ["-v", f"{pathlib.Path(deployment.base).absolute()}:{inside}:ro"]
    ports = [word for port in (_REST, _GRPC) for word in ("-p", f"127.0.0.1:{port}:{port}")]
    command = [
        "docker", "run", "--rm", *ports, *mount, "-v", "HERE:/config:ro", deployment.container,
        f"--port={_GRPC}", f"--rest_api_port={_REST}", "--model_config_file=/config/models.config",
        "--monitoring_config_file=/config/monitoring.config", "--enable_batching=true",
        "--batching_parameters_file=/config/batching.config",
    ]  # fmt: skip
    line = " ".join(map(shlex.quote, command)).replace("HERE:/config:ro", '"$here":/config:ro')
    return {
        "models.config": _models_config(deployment.name, inside),
        "monitoring.config": _MONITORING,
        "batching.config": _BATCHING,
        "run.sh": _SHELL + f'here="$(cd "$(dirname "$0")" && pwd)"\nexec {line}\n',
    }


_SHELL = "#!/bin/sh\nset -eu\n"
_MONITORING = 'prometheus_config { enable: true, path: "/metrics" }\n'
_BATCHING = """max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 32 }
num_batch_threads { value: 2 }
"""


def _models_config(name: str, base: str) -> str:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base, model_platform="tensorflow")
    return text_format.MessageToString(config)


def _kserve(deployment: Deployment) -> dict[str, str]:
    _need(deployment, _IN_CLUSTER, "a cluster")
    label = re.sub("[^a-z0-9]+", "-", deployment.name.lower()).strip("-")
    if not _LABEL.fullmatch(label):
        raise UserError(
            "KServe cannot use this name", expected="up to 42 letters, digits and '-', a letter first",
            received=deployment.name, fix="give another --name",
        )  # fmt: skip
    manifest = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": label},
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "model": {
                    "modelFormat": {"name": "tensorflow"},
                    "protocolVersion": "v1",
                    "storageUri": deployment.base,
                    "resources": {
                        "requests": {"cpu": "1", "memory": "2Gi"},
                        "limits": {"cpu": "2", "memory": "4Gi"},
                    },
                },
            }
        },
    }
    return {"inferenceservice.yaml": yaml.safe_dump(manifest, sort_keys=False)}


def _vertex(deployment: Deployment) -> dict[str, str]:
    _need(deployment, ("gs://",), "Vertex AI")
    path = f"/v1/models/{deployment.name}"
    model = {
        "model": {
            "displayName": deployment.name,
            "artifactUri": deployment.base,
            "containerSpec": {
                "imageUri": deployment.container,
                "args": [
                    f"--model_name={deployment.name}",
                    "--model_base_path=$(AIP_STORAGE_URI)",
                    f"--rest_api_port={_VERTEX}",
                ],
                "ports": [{"containerPort": _VERTEX}],
                "predictRoute": f"{path}:predict",
                "healthRoute": path,
            },
        }
    }
    deployed = {
        "deployedModel": {
            "model": "projects/PROJECT/locations/REGION/models/MODEL",
            "displayName": deployment.name,
            "dedicatedResources": {
                "machineSpec": {"machineType": "n1-standard-2"},
                "minReplicaCount": 1,
                "maxReplicaCount": 1,
            },
        },
        "trafficSplit": {"0": 100},
    }
    documents = {
        "model.json": model,
        "endpoint.json": {"displayName": deployment.name},
        "deploy.json": deployed,
    }
    return {
        **{name: json.dumps(document, indent=2) + "\n" for name, document in documents.items()},
        "deploy.sh": _VERTEX_SCRIPT,
    }


_VERTEX_SCRIPT = (
    _SHELL
    + """# usage: PROJECT=… REGION=… ./deploy.sh
cd "$(dirname "$0")"
api="https://$REGION-aiplatform.googleapis.com/v1"
place="projects/$PROJECT/locations/$REGION"

call() {
  token="$(gcloud auth print-access-token)"
  curl --fail-with-body --silent --show-error -H "Authorization: Bearer $token" "$@"
}
post() { call -H "Content-Type: application/json" -X POST "$api/$1" -d "$2"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)'"$1"')'; }
finish() {  # waits for an operation; prints its response
  while true; do
    state="$(call "$api/$1")"
    case "$state" in
      *'"error":'*) echo "$state" >&2; exit 1 ;;
      *'"done": true'*) echo "$state"; return ;;
    esac
    sleep 10
  done
}

operation="$(post "$place/models:upload" "$(cat model.json)" | field '["name"]')"
model="$(finish "$operation" | field '["response"]["model"]')"
operation="$(post "$place/endpoints" "$(cat endpoint.json)" | field '["name"]')"
endpoint="$(finish "$operation" | field '["response"]["name"]')"
body="$(sed "s|projects/PROJECT/locations/REGION/models/MODEL|$model|" deploy.json)"
operation="$(post "$endpoint:deployModel" "$body" | field '["name"]')"
finish "$operation" > /dev/null
echo "$endpoint"
"""
)


def _need(deployment: Deployment, schemes: tuple[str, ...], who: str) -> None:
    if not deployment.base.startswith(schemes):
        raise UserError(
            f"{who} cannot read this folder",
            expected=f"an address that begins with {', '.join(schemes)}",
            received=deployment.base,
            fix="push there: pusher.to, in the config",
        )


TARGETS: dict[str, typing.Callable[[Deployment], dict[str, str]]] = {
    "docker": _docker,
    "kserve": _kserve,
    "vertex": _vertex,
}
