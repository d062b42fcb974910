"""Random changes of training batches in which classes, boxes and masks move with the pixels."""
