"""Classes as leaves of a tree: losses and metrics that know near misses from far ones."""
