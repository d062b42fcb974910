"""Trains and exports."""
