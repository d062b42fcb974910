"""Judges the exported model."""
