import pytest
from served_models import Client, save_means

from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.start import Server


@pytest.fixture(scope="session")
def means(tmp_path_factory):
    """Two versions of the model of means: the second adds 100."""
    base = tmp_path_factory.mktemp("means")
    save_means(base / "1")
    save_means(base / "2", 100.0)
    return base


@pytest.fixture
def start():
    """Starts servers that are stopped when the test is over."""
    servers = []

    def started(bases, token="", **settings):
        chosen = ServeSettings(**{"port": 0, "grpc_port": 0, "poll": 0.05, **settings})
        server = Server({name: str(base) for name, base in bases.items()}, chosen, token)
        servers.append(server)
        return Client(server)

    yield started
    for server in servers:
        server.stop()
        server.wait()
