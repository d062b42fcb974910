"""The one preprocessing."""
