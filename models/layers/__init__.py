"""Keras layers that families share."""
