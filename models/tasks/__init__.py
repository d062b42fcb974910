"""What a model is for: targets, loss, decoding, evaluation."""
