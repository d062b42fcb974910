"""Publishes the model."""
