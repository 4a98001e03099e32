"""Learning to learn among other learners: meta-learned and opponent-shaping agents, with a C++/CUDA core."""

from mamrl import _load

_load.load_kernels()

__version__ = "0.1.0"
