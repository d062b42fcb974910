"""Networks that learn how to look at an image."""
