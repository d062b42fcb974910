"""Suspect labels, boxes and masks: where a simple model that has not seen an example contradicts it."""
