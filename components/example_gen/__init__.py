"""Images and labels into a TFDS data set."""
