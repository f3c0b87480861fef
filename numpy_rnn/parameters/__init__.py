"""The parameters of a model: one flat vector, what it may hold, and how a state is loaded."""

from numpy_rnn.parameters.accepted import DTYPES, IncompatibleKeys, at_most, check_dtype
from numpy_rnn.parameters.vector import Parameters, check_parameters

__all__ = ["DTYPES", "IncompatibleKeys", "Parameters", "at_most", "check_dtype", "check_parameters"]
