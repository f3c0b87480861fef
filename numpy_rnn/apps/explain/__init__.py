"""Why a network forgets: measured from its own backward passes, drawn and explained."""

from numpy_rnn.apps.explain.influence import by_distance, saturation
from numpy_rnn.apps.explain.lesson import Lesson, of_checkpoint, of_recall
from numpy_rnn.apps.explain.spectrum import spectral_radius
from numpy_rnn.apps.explain.story import write
from numpy_rnn.apps.explain.study import Study, Trace, study, trace, train

__all__ = [
    "Lesson",
    "Study",
    "Trace",
    "by_distance",
    "of_checkpoint",
    "of_recall",
    "saturation",
    "spectral_radius",
    "study",
    "trace",
    "train",
    "write",
]
