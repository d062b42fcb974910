"""Where images and labels come from: one module a format."""
