"""Proves the exported model on raw bytes in a fresh process."""
