"""Settings of the model server."""

import pydantic

from conveyor.pipeline.config import Settings

MEGABYTE = 1 << 20


class ServeSettings(Settings):
    """Where a server listens, how it batches, and what it refuses."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: int = pydantic.Field(8501, ge=0, le=65535)
    """Of REST; 0 takes a free one."""
    grpc_port: int = pydantic.Field(8500, ge=0, le=65535)
    """Of gRPC; 0 takes a free one."""
    versions: pydantic.PositiveInt = 1
    """Versions of each model that are served, the newest."""
    poll: float = pydantic.Field(1.0, gt=0)
    """Seconds between looks for new versions."""
    max_batch: pydantic.PositiveInt = 32
    """Images that are answered together."""
    max_delay: float = pydantic.Field(0.0, ge=0, le=10_000)
    """Milliseconds that an image may wait for others; while a batch runs the next one gathers anyway."""
    workers: pydantic.PositiveInt = 1
    """Batches of a version at a time."""
    max_queue: pydantic.PositiveInt = 1024
    """Images of a version that may wait; above it requests are told to come again."""
    max_instances: pydantic.PositiveInt = 256
    """Images of one request."""
    max_pixels: pydantic.PositiveInt = 50_000_000
    """Pixels of the images of one request, or of one batch."""
    max_body: float = pydantic.Field(32.0, gt=0, le=1024)
    """Megabytes of one request."""
    max_bodies: float = pydantic.Field(512.0, gt=0)
    """Megabytes of all REST requests that are not answered yet."""
    max_connections: pydantic.PositiveInt = 1024
    """REST connections, and gRPC calls, at a time."""
    timeout: float = pydantic.Field(60.0, gt=0)
    """Seconds until a request is given up, unless its client says less."""
    read_timeout: float = pydantic.Field(20.0, gt=0)
    """Seconds that a client may take to send the head of a request, and as long again for its body."""
    drain: float = pydantic.Field(30.0, ge=0)
    """Seconds that requests under way are given when the server is stopped."""

    @property
    def body_bytes(self) -> int:
        """Largest request."""
        return int(self.max_body * MEGABYTE)
