"""Classifiers on a backbone that was trained before."""
