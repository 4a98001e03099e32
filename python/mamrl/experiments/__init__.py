"""Named experiments, and one module for each figure.

May import everything but ``cli``.
"""

from mamrl.experiments.presets import PRESETS, preset

__all__ = ["PRESETS", "preset"]
