"""The mathematics as one writes it on paper, one page a file."""
