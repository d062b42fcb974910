"""What the families of segmentation share."""
