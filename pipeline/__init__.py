"""The engine: artifacts, stages, wiring, cache, metadata, runners. Imports no TensorFlow."""

if __name__ != "conveyor.pipeline":
    raise ImportError("this folder is a part of conveyor: import conveyor.pipeline, not pipeline")
