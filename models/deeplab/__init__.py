"""DeepLab."""
