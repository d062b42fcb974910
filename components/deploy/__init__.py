"""Renders what runs a published model elsewhere: TensorFlow Serving in Docker, KServe, Vertex AI."""
