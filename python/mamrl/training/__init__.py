"""Meta-training: the learner that steps, the loop around it, and the run folders that it leaves.

May import from ``evaluation`` and everything before it.
"""

from mamrl.training.callbacks import Callback, Iteration
from mamrl.training.loop import train

__all__ = ["Callback", "Iteration", "train"]
