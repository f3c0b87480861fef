"""Applications of the library."""
