"""Populations p(phi_0^-i) of the peers that a meta-agent meets: tabular personas, and pre-trained teammates.

May import from ``meta`` and everything before it.
"""

from mamrl.populations.personas import Population, personas_for

__all__ = ["Population", "personas_for"]
