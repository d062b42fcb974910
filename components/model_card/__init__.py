"""One page that tells everything about a run."""
