"""Who moves and who sees what: HalfCheetah's joints shared out as multi-agent MuJoCo defines it.

Peng et al. 2021 (FACMAC), section 4.2: the robot is a graph whose nodes are joints; an agent acts on its own
joints and sees them, and the positions of the joints within k edges of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mamrl.errors import choose

JOINTS = ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot")  # in the order of actions
NUM_ACTIONS = len(JOINTS)
NUM_OBSERVATIONS = 17

_EDGES = (
    ("bfoot", "bshin"),
    ("bshin", "bthigh"),
    ("bthigh", "fthigh"),
    ("fthigh", "fshin"),
    ("fshin", "ffoot"),
)
# columns of the observation: z, pitch, joint angles, then x, z, pitch and joint velocities
_POSITION = {joint: 2 + i for i, joint in enumerate(JOINTS)}
_VELOCITY = {joint: 11 + i for i, joint in enumerate(JOINTS)}
_TORSO = (0, 1, 8, 9, 10)


@dataclass(frozen=True)
class Factorization:
    """A partition of the six joints: each agent's, in the order of its actions.

    Raises:
        ValueError: a joint is unknown, missing or given to two agents, or an agent has none.
    """

    partition: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        given = [choose("joint", joint, JOINTS) for agent in self.partition for joint in agent]
        if sorted(given) != sorted(JOINTS) or not all(self.partition):
            raise ValueError(
                f"the partition is {self.partition}, expected each of {', '.join(JOINTS)} once and no agent without any"
            )

    @staticmethod
    def of(factorization: str | Sequence[Sequence[str]] | Factorization) -> Factorization:
        """By its name, from each agent's joints, or as it is."""
        if isinstance(factorization, Factorization):
            return factorization
        if isinstance(factorization, str):
            return FACTORIZATIONS[choose("factorization", factorization, FACTORIZATIONS)]
        return Factorization(tuple(tuple(agent) for agent in factorization))

    def action_columns(self) -> list[np.ndarray]:
        """For each agent where its actions stand among the six."""
        return [np.array([JOINTS.index(joint) for joint in agent]) for agent in self.partition]

    def observation_columns(self, neighbours: int | None) -> list[np.ndarray]:
        """For each agent which of the 17 observations it sees, and in which order.

        Args:
            neighbours: k. Its own joints' positions and velocities, then the positions of joints at distance
                1..k, joints of one distance by name, and last the torso's. None: everything, in its own
                order.
        """
        if neighbours is None:
            return [np.arange(NUM_OBSERVATIONS)] * len(self.partition)
        if neighbours < 0:
            raise ValueError(f"neighbours is {neighbours}, expected at least 0, or None for everything")
        return [self._columns_of(agent, neighbours) for agent in self.partition]

    def join(self, actions: Sequence[np.ndarray]) -> np.ndarray:
        """Each agent's actions (E, its joints) -> (E, 6)."""
        if len(actions) != len(self.partition):
            raise ValueError(f"got actions of {len(actions)} agents, expected {len(self.partition)}")
        for agent, (own, joints) in enumerate(zip(actions, self.partition, strict=True)):
            expected = (actions[0].shape[0], len(joints))
            if own.shape != expected:
                raise ValueError(f"agent {agent}'s actions have shape {own.shape}, expected {expected}")
        joint = np.empty((len(actions[0]), NUM_ACTIONS), np.result_type(*actions))
        for own, columns in zip(actions, self.action_columns(), strict=True):
            joint[:, columns] = own
        return joint

    def _columns_of(self, own: tuple[str, ...], neighbours: int) -> np.ndarray:
        columns = [column for joint in sorted(own) for column in (_POSITION[joint], _VELOCITY[joint])]
        reached = set(own)
        for _ in range(min(neighbours, len(JOINTS))):
            frontier = {b for a, b in _both_ways() if a in reached} - reached
            columns += [_POSITION[joint] for joint in sorted(frontier)]
            reached |= frontier
        return np.array([*columns, *_TORSO])


def _both_ways() -> list[tuple[str, str]]:
    return [*_EDGES, *((b, a) for a, b in _EDGES)]


FACTORIZATIONS = {
    "1x6": Factorization((JOINTS,)),
    "2x3": Factorization((JOINTS[:3], JOINTS[3:])),
    "6x1": Factorization(tuple((joint,) for joint in JOINTS)),
}
