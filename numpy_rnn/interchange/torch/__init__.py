"""PyTorch's files: state_dicts and whole modules, zipped or not, and the state of its optimisers.

`file` reads an archive, `unpickle` the pickle inside, `tree` finds the weights in what was saved.
`state_dict` makes layers of names and arrays, whichever file format they come from.
"""
