"""Policies: pure functions of flat parameters, one row a chain.

May import from ``ops`` and ``games``.
"""

from mamrl.policies.base import Policy, categorical_log_probs
from mamrl.policies.lstm import LSTMNetwork, LSTMPolicy
from mamrl.policies.tabular import TabularPolicy

__all__ = ["LSTMNetwork", "LSTMPolicy", "Policy", "TabularPolicy", "categorical_log_probs"]
