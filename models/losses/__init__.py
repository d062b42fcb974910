"""Losses that Keras lacks."""
