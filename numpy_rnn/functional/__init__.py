"""The mathematics: pairs of pure functions, one idea a file.

    out, cache = x_forward(arguments)
    gradients  = x_backward(d_out, cache)          one gradient per argument, in order

A pair never changes its inputs, its cache or an incoming gradient, follows the dtype it is
given and runs on complex numbers. Shapes are not checked here: the layers do that.
"""

from numpy_rnn.functional.activations import RELU, TANH, Activation
from numpy_rnn.functional.contract import Keep, contract, contract_bias, contract_one_hot
from numpy_rnn.functional.cross_entropy import cross_entropy_backward, cross_entropy_forward
from numpy_rnn.functional.elman import elman_backward, elman_forward
from numpy_rnn.functional.embedding import embedding_backward, embedding_forward
from numpy_rnn.functional.linear import linear_backward, linear_forward
from numpy_rnn.functional.mse import mse_backward, mse_forward
from numpy_rnn.functional.reduction import Reduction

__all__ = [
    "RELU",
    "TANH",
    "Activation",
    "Keep",
    "Reduction",
    "contract",
    "contract_bias",
    "contract_one_hot",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "elman_backward",
    "elman_forward",
    "embedding_backward",
    "embedding_forward",
    "linear_backward",
    "linear_forward",
    "mse_backward",
    "mse_forward",
]
