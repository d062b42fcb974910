"""The learning: families, layers, losses, metrics, tasks. Knows nothing of stages or files."""

if __name__ != "conveyor.models":
    raise ImportError("this folder is a part of conveyor: import conveyor.models, not models")
