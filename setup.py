"""Metadata of the conveyor package; also what Dataflow workers install."""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent

# The top-level folders of this repository are mapped into one package, so that nothing named
# "models" or "pipeline" ever lands in site-packages.
MAPPED = ("pipeline", "components", "models", "configs")


def packages() -> dict[str, str]:
    """Returns every package's dotted name with its folder, relative to this file."""
    found = {"conveyor": "conveyor"}
    for name in setuptools.find_packages(str(HERE / "conveyor")):
        found[f"conveyor.{name}"] = "conveyor/" + name.replace(".", "/")
    for folder in MAPPED:
        found[f"conveyor.{folder}"] = folder
        for name in setuptools.find_packages(str(HERE / folder)):
            found[f"conveyor.{folder}.{name}"] = f"{folder}/" + name.replace(".", "/")
    return found


def version() -> str:
    """Returns the version written in conveyor/__init__.py."""
    source = (HERE / "conveyor" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)[1]


CORE = [
    "tensorflow>=2.20",
    "keras>=3.12",
    "tensorflow-datasets>=4.9.9",
    "importlib_resources>=6",  # tensorflow-datasets imports it without declaring it
    "tensorflow-metadata>=1.17",
    "tensorflow-serving-api>=2.19",  # warm-up requests
    "apache-beam>=2.65",
    "google-crc32c>=1.5",  # record checksums
    "absl-py>=2.1",
    "pydantic>=2.8",
    "PyYAML>=6.0",
    "rich>=13.7",
    "etils[epath]>=1.9",
    "numpy>=1.26",
    "pyarrow>=16",
    "pandas>=2",  # pyarrow imports it where it is installed, and cleanlab needs it
    "pillow>=10.3",
    "simplejpeg>=1.7",
    "scikit-learn>=1.4",
    "scipy>=1.11",
    "threadpoolctl>=3.1",
    "altair>=5.4",
    "vl-convert-python>=1.6",  # carries the Vega scripts that make charts work offline
    "jinja2>=3.1",
    "defusedxml>=0.7.1",
    "hotcoco>=1.2",  # run lengths of outlines
    "cleanlab>=2.7",  # label errors
    "grpcio>=1.66",  # the model server, by which every model is proved
    "fastapi>=0.115",
    "uvicorn>=0.30",
    "uvloop>=0.19",
    "httptools>=0.6",
    "orjson>=3.10",
    "prometheus-client>=0.22",
    "requests>=2.31",
    "urllib3>=2",
]
GCP = ["gcsfs>=2024.6"]  # gs:// paths
S3 = ["s3fs>=2024.6"]  # s3:// paths
SERVE = ["kserve>=0.15"]  # the Open Inference Protocol over gRPC
EXPORT = ["ai-edge-litert>=1.2", "tf2onnx>=1.16", "onnxruntime>=1.20"]  # other formats
TUNE = ["optuna>=4"]  # conveyor sweep
TENSORBOARD = ["tensorboard>=2.18"]  # trainer.tensorboard
DEV = [
    "pytest>=8",
    "pytest-cov>=5",
    "pytest-xdist>=3.7",
    "hypothesis>=6.100",
    "pycocotools>=2.0.8",  # an oracle
    "imagehash>=4.3",  # a peer in benchmarks
    "ruff>=0.6",
    "mypy>=1.11",
    "import-linter>=2",
    "setuptools>=77",
    "google-cloud-aiplatform>=1.60",  # what Vertex AI takes
    *EXPORT,
    *SERVE,
    *TUNE,
    "websockets>=12",  # steers a browser
]

setuptools.setup(
    name="conveyor",
    version=version(),
    description="From a folder of images to a served Keras model whose every number can be trusted",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    package_dir=packages(),
    packages=list(packages()),
    package_data={
        "conveyor": ["py.typed"],
        "conveyor.configs": ["*.yaml"],
        "conveyor.components.model_card": ["*.jinja", "*.css"],
        "conveyor.components.serving": ["*.html"],
    },
    install_requires=CORE,
    extras_require={
        "dev": DEV,
        "export": EXPORT,
        "gcp": GCP,
        "s3": S3,
        "serve": SERVE,
        "tensorboard": TENSORBOARD,
        "tune": TUNE,
    },
    entry_points={"console_scripts": ["conveyor = conveyor.__main__:main"]},
)
