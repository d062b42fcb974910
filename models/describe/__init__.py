"""What a model's layers make, cost and see."""
