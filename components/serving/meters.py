"""What the server counts, for Prometheus."""

import prometheus_client

_TIMES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

REQUESTS = prometheus_client.Counter(
    "conveyor_requests_total",
    "Requests for predictions, by how they were answered",
    ["model", "api", "status"],
)
SECONDS = prometheus_client.Histogram(
    "conveyor_request_seconds", "Time from the whole request to its answer", ["model", "api"], buckets=_TIMES
)
BATCH_IMAGES = prometheus_client.Histogram(
    "conveyor_batch_images",
    "Images answered together",
    ["version"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
QUEUE = prometheus_client.Gauge("conveyor_queue_images", "Images that wait", ["version"])
SERVED = prometheus_client.Gauge(
    "conveyor_version_served", "1 for each version that is served", ["model", "version"]
)
BROKEN = prometheus_client.Gauge(
    "conveyor_version_broken", "1 for each version that is there and cannot be served", ["model", "version"]
)
LOAD_SECONDS = prometheus_client.Gauge(
    "conveyor_load_seconds", "Time to load and warm up", ["model", "version"]
)
