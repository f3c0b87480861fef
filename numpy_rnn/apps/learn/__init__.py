"""The course behind ``numpy-rnn learn``: exercises to write, and what checks the answers.

The mathematics is in ``textbook/`` and the gradient checks are in ``checking/``. Every exercise is
a file of ``texts/en``, and a translation is one more folder. Start reading in ``exercise.py``,
which explains the form of these files, then ``judge.py``.
"""

from numpy_rnn.apps.learn.course import Course, start
from numpy_rnn.apps.learn.exercise import LANGUAGES, load
from numpy_rnn.apps.learn.judge import judge

__all__ = ["LANGUAGES", "Course", "judge", "load", "start"]
