"""Models of other programs: read, write and convert their files without the framework.

Here live the file formats; layers live in layers/, and the file that `model.save` writes is
described in safetensors.py. torch/, onnx/ and keras/ are those of one program each, and graph/ runs
a network that is no chain. Start reading with formats.py, then contents.py.
"""

from numpy_rnn.interchange.contents import Contents, UnsupportedError
from numpy_rnn.interchange.formats import load, read, save
from numpy_rnn.interchange.torch.optimizer import load_optimizer

__all__ = ["Contents", "UnsupportedError", "load", "load_optimizer", "read", "save"]
