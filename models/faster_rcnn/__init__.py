"""Region-based detectors: Faster R-CNN, and with masks Mask R-CNN."""
