"""What is to be trained: an experiment in names and numbers, and the parts that it stands for.

May import from ``populations``, ``shaping`` and everything before them.
"""

from mamrl.config.experiment import AGENTS, CRITICS, HALF_CHEETAH, Experiment, field_types, parse_assignments

__all__ = ["AGENTS", "CRITICS", "HALF_CHEETAH", "Experiment", "field_types", "parse_assignments"]
