"""Measurements: each script says how to run it, and prints what it found."""
