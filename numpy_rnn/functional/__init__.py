"""The pairs that run: the functions of textbook/, with the same arguments and results, made fast.

    out, cache = x_forward(arguments)
    gradients  = x_backward(dout, cache)          one gradient per argument, in order

Only arrangements for speed live here; the derivations are in textbook/, and a test checks that
both are equal. Checks of shapes and dtypes live in layers/. Start reading with elman.py, beside
its page.

``dX`` means dL/dX and has X's shape. Arrays hold examples as rows, so W x is ``x @ W.T`` and
W^T dz is ``dz @ W``. A pair never changes its inputs, its cache or an incoming gradient. It
follows the dtype of its arrays and runs on complex numbers. A transpose is never conjugated,
because that would not be analytic.

The forward of a recurrent pair, ``x_forward(x, h0, [c0,] weights)``:

    x        (T, B, D)  input; or (T, B) integers, token ids, which stand for one-hot rows
    h0, c0   (B, .)     state before the first step
    h, c     (T, B, .)  first result: the state after every step; read-only, as it is in the cache

The backward of a recurrent pair, ``x_backward(dh, [dc,] cache, keep="")``. Those of linear,
embedding and layer_norm are alike, with ``dy``, the gradient of the output, in the first place:

    dh, dc   (T, B, .)  what the loss sends to the states of each step directly; None is zero
    cache               from the forward pass
    keep                axes not summed over in the weights' gradients: "", "t", "b" or "tb"
    dx       (T, B, D)  first result: the gradient of the input, None for token ids
    dh0, dc0 (B, .)     then those of the initial states
    dW, db              then those of the weights and biases, of their shapes, kept axes in front
"""

from numpy_rnn.functional.activations import RELU, TANH, Activation, make_activation
from numpy_rnn.functional.contract import Keep, contract, contract_bias, contract_one_hot
from numpy_rnn.functional.dropout import dropout_backward, dropout_forward
from numpy_rnn.functional.elman import elman_backward, elman_forward
from numpy_rnn.functional.embedding import embedding_backward, embedding_forward
from numpy_rnn.functional.general_gru import (
    general_gru_backward,
    general_gru_forward,
    gru_reset_before_backward,
    gru_reset_before_forward,
)
from numpy_rnn.functional.general_lstm import (
    general_lstm_backward,
    general_lstm_forward,
    peephole_lstm_backward,
    peephole_lstm_forward,
)
from numpy_rnn.functional.gru import gru_backward, gru_forward
from numpy_rnn.functional.indrnn import indrnn_backward, indrnn_forward
from numpy_rnn.functional.layer_norm import layer_norm_backward, layer_norm_forward
from numpy_rnn.functional.linear import linear_backward, linear_forward
from numpy_rnn.functional.losses import (
    Reduction,
    cross_entropy_backward,
    cross_entropy_forward,
    mse_backward,
    mse_forward,
)
from numpy_rnn.functional.lru import lru_backward, lru_forward
from numpy_rnn.functional.lstm import lstm_backward, lstm_forward
from numpy_rnn.functional.mingru import mingru_backward, mingru_forward
from numpy_rnn.functional.scan import scan_backward, scan_forward

__all__ = ["RELU", "TANH", "Activation", "Keep", "Reduction", "contract", "contract_bias"]
__all__ += ["contract_one_hot", "cross_entropy_backward", "cross_entropy_forward"]
__all__ += ["dropout_backward", "dropout_forward", "elman_backward", "elman_forward"]
__all__ += ["embedding_backward", "embedding_forward", "general_gru_backward"]
__all__ += ["general_gru_forward", "general_lstm_backward", "general_lstm_forward", "gru_backward"]
__all__ += ["gru_forward", "gru_reset_before_backward", "gru_reset_before_forward"]
__all__ += ["indrnn_backward", "indrnn_forward", "layer_norm_backward", "layer_norm_forward"]
__all__ += ["linear_backward", "linear_forward", "lru_backward", "lru_forward", "lstm_backward"]
__all__ += ["lstm_forward", "make_activation", "mingru_backward", "mingru_forward", "mse_backward"]
__all__ += ["mse_forward", "peephole_lstm_backward", "peephole_lstm_forward", "scan_backward"]
__all__ += ["scan_forward"]
