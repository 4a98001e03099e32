"""Named experiments, and one module for each figure."""

from mamrl.experiments.presets import PRESETS, preset

__all__ = ["PRESETS", "preset"]
