"""Exact and near duplicates between images: fingerprints, search, confirmation, groups."""
