"""Measurements: each script's first lines show how to run it."""
