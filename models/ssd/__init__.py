"""Single-shot detectors."""
