import pytest

from conveyor.components.artifacts import Model
from conveyor.pipeline.artifacts import seal

FILES = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 8200,  # more than one block is copied
    "assets/größe.txt": "größe".encode(),
}


@pytest.fixture
def make_model(tmp_path):
    """Makes a published model of files that stand for a SavedModel; a name gives it other content."""

    def make(name="first"):
        model = Model(tmp_path / "models" / name)
        for file, content in {**FILES, "fingerprint.txt": name.encode()}.items():
            path = model.saved_model / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        model.keras_file.write_bytes(b"not to be pushed")
        seal(model, {})
        return model

    return make


@pytest.fixture
def model(make_model):
    return make_model()
