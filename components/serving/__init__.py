"""Serves exported models as TensorFlow Serving does, and by the Open Inference Protocol (v2)."""
