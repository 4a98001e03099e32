"""How trained agents are measured: the papers' meta-test, cross-play, and intervals for all of it.

May import from ``config`` and everything before it.
"""

from mamrl.evaluation.meta_test import MetaTest, adapt_to_population
from mamrl.evaluation.statistics import confidence_interval

__all__ = ["MetaTest", "adapt_to_population", "confidence_interval"]
