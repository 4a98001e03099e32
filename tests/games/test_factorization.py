"""Who moves and who sees what, against the tables that multi-agent MuJoCo makes of the same partitions."""

import numpy as np
import pytest

from mamrl.games.factorization import JOINTS, Factorization

# columns of the 17 observations by agent, as printed by gymnasium-robotics 1.4.2 (MaMuJoCo v1) for
# HalfCheetah
MAMUJOCO = {
    ("2x3", 1): [
        [4, 13, 3, 12, 2, 11, 5, 0, 1, 8, 9, 10],
        [7, 16, 6, 15, 5, 14, 2, 0, 1, 8, 9, 10],
    ],
    ("2x3", 2): [
        [4, 13, 3, 12, 2, 11, 5, 6, 0, 1, 8, 9, 10],
        [7, 16, 6, 15, 5, 14, 2, 3, 0, 1, 8, 9, 10],
    ],
    ("2x3", 5): [
        [4, 13, 3, 12, 2, 11, 5, 6, 7, 0, 1, 8, 9, 10],
        [7, 16, 6, 15, 5, 14, 2, 3, 4, 0, 1, 8, 9, 10],
    ],
    ("6x1", 0): [
        [2, 11, 0, 1, 8, 9, 10],
        [3, 12, 0, 1, 8, 9, 10],
        [4, 13, 0, 1, 8, 9, 10],
        [5, 14, 0, 1, 8, 9, 10],
        [6, 15, 0, 1, 8, 9, 10],
        [7, 16, 0, 1, 8, 9, 10],
    ],
    ("6x1", 2): [
        [2, 11, 3, 5, 4, 6, 0, 1, 8, 9, 10],
        [3, 12, 4, 2, 5, 0, 1, 8, 9, 10],
        [4, 13, 3, 2, 0, 1, 8, 9, 10],
        [5, 14, 2, 6, 3, 7, 0, 1, 8, 9, 10],
        [6, 15, 7, 5, 2, 0, 1, 8, 9, 10],
        [7, 16, 6, 5, 0, 1, 8, 9, 10],
    ],
}


@pytest.mark.parametrize(("name", "neighbours"), MAMUJOCO)
def test_agents_see_what_multi_agent_mujoco_shows_them(name, neighbours):
    columns = Factorization.of(name).observation_columns(neighbours)
    assert [list(agent) for agent in columns] == MAMUJOCO[name, neighbours]


def test_without_a_number_of_neighbours_everyone_sees_everything():
    assert [list(agent) for agent in Factorization.of("2x3").observation_columns(None)] == [list(range(17))] * 2


def test_any_partition_of_the_joints_is_a_factorization():
    crossed = Factorization.of([("ffoot", "bthigh"), ("bshin", "fshin", "bfoot"), ("fthigh",)])
    assert [list(agent) for agent in crossed.action_columns()] == [[5, 0], [1, 4, 2], [3]]
    # at distance 1 of ffoot and bthigh lie fshin, and bshin and fthigh
    assert list(crossed.observation_columns(1)[0]) == [2, 11, 7, 16, 3, 6, 5, 0, 1, 8, 9, 10]


def test_joining_puts_each_agents_actions_at_its_joints():
    crossed = Factorization.of([("ffoot", "bthigh"), ("bshin", "fshin", "bfoot"), ("fthigh",)])
    joint = crossed.join([np.array([[50.0, 0.0]]), np.array([[10.0, 40.0, 20.0]]), np.array([[30.0]])])
    assert joint.tolist() == [[0.0, 10.0, 20.0, 30.0, 40.0, 50.0]]


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ([JOINTS[:3], JOINTS[2:]], "once"),
        ([JOINTS[:3], JOINTS[4:]], "once"),
        ([JOINTS, ()], "no agent without any"),
        ([("bthig", *JOINTS[1:])], "did you mean 'bthigh'"),
        ("3x2", "unknown factorization '3x2'"),
    ],
)
def test_a_partition_that_is_none_is_refused(partition, message):
    with pytest.raises(ValueError, match=message):
        Factorization.of(partition)


def test_actions_of_the_wrong_agents_are_refused():
    legs = Factorization.of("2x3")
    with pytest.raises(ValueError, match="got actions of 1 agents, expected 2"):
        legs.join([np.zeros((4, 3))])
    with pytest.raises(ValueError, match=r"agent 1's actions have shape \(4, 2\), expected \(4, 3\)"):
        legs.join([np.zeros((4, 3)), np.zeros((4, 2))])
    with pytest.raises(ValueError, match="neighbours is -1"):
        legs.observation_columns(-1)
