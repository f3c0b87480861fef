"""Models of other programs: read, write and convert their files without the framework.

Start reading with formats.py, then contents.py. The folders torch/, onnx/ and keras/ have the
formats of one program each, and graph/ runs a network that is no chain of layers. The file that
`model.save` writes is described in numpy_rnn/safetensors.py.
"""

from numpy_rnn.interchange.contents import Contents, UnsupportedError
from numpy_rnn.interchange.formats import load, read, save
from numpy_rnn.interchange.torch.optimizer import load_optimizer

__all__ = ["Contents", "UnsupportedError", "load", "load_optimizer", "read", "save"]
