"""Programs of a page each. They are run as files, and the tests import them."""
