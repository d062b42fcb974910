"""Exports a model in other formats, each measured against the SavedModel."""
