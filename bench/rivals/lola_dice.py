"""LOLA-DiCE in the iterated prisoner's dilemma: an update of TorchOpt's and OpenSpiel's beside ours, and the rewards.

TorchOpt's package does not hold its LOLA-DiCE example; what is measured is that example's shape, on its MetaSGD: both
players simulate the other's step with a differentiable optimiser, and sample by a loop of eager torch. OpenSpiel's is
the agent that it ships, trained as in its own example, the opponent's parameters known as they are to the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.rivals.baseline import expert_numpy
from bench.rivals.contest import OURS, Contest, Row, Way, version_of
from mamrl.games import MatrixGame, ipd
from mamrl.games.trajectories import Trajectories, play, random_keys
from mamrl.meta import Chain
from mamrl.policies import TabularPolicy
from mamrl.shaping.lola_dice import lola_dice_gradient

# the payoffs of that literature, which OpenSpiel has too: CC -1, CD -3, DC 0, DD -2
GAME = MatrixGame(ipd().payoffs - 1.5, "ipd")
POLICY = TabularPolicy(5, 2)
EPISODES, LENGTH, DISCOUNT = 128, 150, 0.96
LEARNING_RATE, SIMULATED_STEP = 0.1, 0.3
# seconds after which it is asked what two learners earn
TIMES = (2.0, 10.0)


def chain(kind: str) -> Chain:
    settings: dict[str, Any] = {"num_trajectories": EPISODES, "horizon": LENGTH, "discount": DISCOUNT}
    return Chain("lola-dice", peer_lr=SIMULATED_STEP, lookahead_dice=kind, **settings)


# ---- ours ----


class Mamrl:
    """Both players' updates, by Adam.

    Attributes:
        logits: of cooperation by state, both players' (1, 5).
    """

    def __init__(self, kind: str) -> None:
        self.chain, self.policies = chain(kind), [POLICY, POLICY]
        self.logits = [torch.zeros(1, 5) for _ in range(2)]
        self.adam = torch.optim.Adam(self.logits, lr=LEARNING_RATE, maximize=True)
        self.updates = 0

    def __call__(self) -> None:
        gradients = [
            lola_dice_gradient(self.chain, GAME, self.policies, self.logits, partial(self.sample, player), player)
            for player in range(2)
        ]
        for logits, gradient in zip(self.logits, gradients, strict=True):
            logits.grad = gradient
        self.adam.step()
        self.updates += 1

    def sample(self, player: int, position: int, rows: Sequence[Tensor]) -> Trajectories:
        keys = random_keys(0, "other", self.updates, 2 * player + position, 1)
        return play(GAME, self.policies, rows, keys, EPISODES, LENGTH)

    def policies_now(self) -> list[Tensor]:
        return [logits[0] for logits in self.logits]


# ---- TorchOpt ----


class Table(nn.Module):
    """Logits of cooperation by state."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(5))

    def log_probs(self, states: Tensor, actions: Tensor) -> Tensor:
        return F.logsigmoid(self.logits[states] * (1 - 2 * actions))


@torch.no_grad()
def sampled(tables: Sequence[Table]) -> tuple[Tensor, Tensor]:
    """States and actions (2, T, K) of both players, each from its own side."""
    cooperation = torch.stack([table.logits.sigmoid() for table in tables])
    joint_states, states, actions = torch.zeros(2, EPISODES, dtype=torch.int64), [], []
    for draws in torch.rand(LENGTH, 2, EPISODES).unbind(0):
        joint = (draws >= cooperation.gather(1, joint_states)).long()
        states.append(joint_states)
        actions.append(joint)
        joint_states = 1 + 2 * joint + joint.flip(0)
    return torch.stack(states, 1), torch.stack(actions, 1)


class TorchOpt:
    """Both players' updates; the simulated step is MetaSGD's, through which the own gradient flows."""

    def __init__(self) -> None:
        import torchopt

        self.torchopt = torchopt
        self.tables = [Table(), Table()]
        self.adams = [torch.optim.Adam(table.parameters(), lr=LEARNING_RATE) for table in self.tables]
        self.payoffs = GAME.payoffs
        self.powers = (DISCOUNT ** torch.arange(LENGTH)).view(-1, 1)
        self.sampled: Callable[[Sequence[Table]], tuple[Tensor, Tensor]] = sampled

    def objective(self, tables: Sequence[Table], player: int) -> Tensor:
        """A player's DiCE objective on fresh episodes of these tables."""
        states, actions = self.sampled(tables)
        log_probs = [table.log_probs(states[a], actions[a]) for a, table in enumerate(tables)]
        rewards = self.payoffs[player][actions[0], actions[1]]
        observed = F.one_hot(states[player], 5).float().numpy()
        values = torch.from_numpy(expert_numpy(observed, rewards.numpy(), DISCOUNT)).float()
        nodes = log_probs[0] + log_probs[1]
        reinforced = magic_box(nodes.cumsum(0)) * self.powers * rewards
        return (reinforced + (1 - magic_box(nodes)) * self.powers * values).sum(0).mean()

    def gradient(self, player: int) -> Tensor:
        tables, other = list(self.tables), 1 - player
        simulated = Table()
        simulated.load_state_dict(tables[other].state_dict())
        tables[other] = simulated
        step = self.torchopt.MetaSGD(simulated, lr=SIMULATED_STEP)
        step.step(-self.objective(tables, other))
        (gradient,) = torch.autograd.grad(-self.objective(tables, player), list(self.tables[player].parameters()))
        return gradient

    def __call__(self) -> None:
        gradients = [self.gradient(player) for player in range(2)]
        for table, adam, gradient in zip(self.tables, self.adams, gradients, strict=True):
            table.logits.grad = gradient
            adam.step()

    def policies_now(self) -> list[Tensor]:
        return [table.logits.detach() for table in self.tables]


def magic_box(x: Tensor) -> Tensor:
    return torch.exp(x - x.detach())


# ---- what is compared: both players' gradients on the same episodes ----

UNEVEN = torch.tensor([[0.5, 1.0, -0.5, 0.3, -1.0], [-0.2, 0.7, -1.0, 0.4, 0.1]])


def recorded() -> dict[tuple[int, int], Trajectories]:
    """By player and simulated steps so far."""
    rows = [row.unsqueeze(0) for row in UNEVEN]
    places = [(player, position) for player in range(2) for position in range(2)]
    keys = {place: random_keys(1, "other", 0, index, 1) for index, place in enumerate(places)}
    return {place: play(GAME, [POLICY, POLICY], rows, key, EPISODES, LENGTH) for place, key in keys.items()}


def mamrl_gradients(kind: str) -> list[np.ndarray]:
    episodes, rows = recorded(), [row.unsqueeze(0) for row in UNEVEN]
    return [
        lola_dice_gradient(
            chain(kind), GAME, [POLICY, POLICY], rows, lambda position, _, p=player: episodes[p, position], player
        )[0].numpy()
        for player in range(2)
    ]


def torchopt_gradients(step: TorchOpt) -> list[np.ndarray]:
    episodes, rival = recorded(), TorchOpt()
    for table, logits in zip(rival.tables, UNEVEN, strict=True):
        table.logits.data.copy_(logits)
    gradients = []
    for player in range(2):
        replayed = iter([episodes[player, position] for position in range(2)])

        def replay(tables: Sequence[Table], replayed: Iterator[Trajectories] = replayed) -> tuple[Tensor, Tensor]:
            trajectories = next(replayed)
            return trajectories.states[:, :, 0], trajectories.actions[:, :, 0]

        rival.sampled = replay
        # it descends
        gradients.append(-rival.gradient(player).numpy())
    return gradients


# ---- OpenSpiel ----


class OpenSpiel:
    """An epoch of its example with DiCE: episodes under both agents, then each one's critics and its policy."""

    def __init__(self) -> None:
        import distrax
        import haiku
        import jax
        import jax.numpy as jnp
        from open_spiel.python.environments.iterated_matrix_game import IteratedPrisonersDilemma
        from open_spiel.python.jax.opponent_shaping import OpponentShapingAgent

        def policy(seen: Any) -> Any:
            theta = haiku.get_parameter("theta", (5, 2), init=jnp.zeros)
            return distrax.Categorical(logits=seen @ theta)

        def critic(seen: Any) -> Any:
            return (seen @ haiku.get_parameter("w", (5,), init=jnp.zeros))[..., None]

        self.env = IteratedPrisonersDilemma(iterations=LENGTH, batch_size=EPISODES)
        networks = {
            "policy": haiku.without_apply_rng(haiku.transform(policy)),
            "critic": haiku.without_apply_rng(haiku.transform(critic)),
        }
        self.agents = [
            OpponentShapingAgent(
                player_id=player,
                opponent_ids=[1 - player],
                seed=jax.random.PRNGKey(player),
                info_state_size=[5],
                num_actions=2,
                batch_size=EPISODES,
                pi_learning_rate=LEARNING_RATE,
                opp_policy_learning_rate=SIMULATED_STEP,
                critic_learning_rate=0.1,
                clip_grad_norm=None,
                policy_update_interval=1,
                discount=DISCOUNT,
                critic_discount=0,
                fit_opponent_model=False,
                correction_type="dice",
                use_jit=True,
                n_lookaheads=1,
                env=self.env,
                **networks,
            )
            for player in range(2)
        ]
        self()

    def __call__(self) -> None:
        episode = self.env.reset()
        while not episode.last():
            actions = [agent.step(episode).action.squeeze() for agent in self.agents]
            episode = self.env.step(np.stack(actions, axis=1))
            episode.observations["actions"] = actions
        for agent in self.agents:
            agent.step(episode)
        for agent, other in zip(self.agents, self.agents[::-1], strict=True):
            agent.update_params(state=other.train_state, player_id=other.player_id)

    def policies_now(self) -> list[Tensor]:
        thetas = [np.array(a.train_state.policy_params[a.player_id]["~"]["theta"]) for a in self.agents]
        return [torch.from_numpy(theta[:, 0] - theta[:, 1]) for theta in thetas]


def open_spiel_with_our_payoffs() -> OpenSpiel:
    """Its payoffs are what can be compared: it learns its baseline, so that its gradients are others.

    Raises:
        ValueError: they are not ours.
    """
    from open_spiel.python.environments.iterated_matrix_game import IteratedPrisonersDilemma

    env = IteratedPrisonersDilemma(iterations=2, batch_size=4)
    env.reset()
    theirs = env.step(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).rewards
    if not np.array_equal(np.stack(theirs), GAME.payoffs.flatten(1).numpy()):
        raise ValueError(f"its payoffs are {theirs}")
    return OpenSpiel()


def contests() -> Iterator[Contest]:
    work = f"LOLA-DiCE, an update of both players, K = {EPISODES}, T = {LENGTH}, one simulated step"
    yield Contest(
        "lola_dice",
        work,
        [
            Way(OURS, lambda: Mamrl("dice"), "mamrl", lambda step: mamrl_gradients("dice")),
            Way("TorchOpt, MetaSGD", TorchOpt, "torchopt", torchopt_gradients, 1e-3, "after its example"),
            Way(
                "OpenSpiel, OpponentShapingAgent",
                open_spiel_with_our_payoffs,
                "open-spiel",
                lambda step: None,
                note="its payoffs are ours, its gradients have a learned critic, for which it plays more episodes",
            ),
        ],
        rounds=3,
        seconds=0.5,
    )


def results() -> Iterator[Row]:
    """What two learners earn after the same time."""
    makes: dict[tuple[str, str], Callable[[], Any]] = {
        (OURS, "mamrl"): lambda: Mamrl("loaded-dice"),
        ("mamrl, plain DiCE", "mamrl"): lambda: Mamrl("dice"),
        ("TorchOpt, MetaSGD", "torchopt"): TorchOpt,
        ("OpenSpiel, OpponentShapingAgent", "open-spiel"): OpenSpiel,
    }
    for (name, package), make in makes.items():
        asked = " and ".join(f"{seconds:g}" for seconds in TIMES)
        row = Row("lola_dice", f"LOLA-DiCE in self-play, mean reward after {asked} s", name, version_of(package))
        try:
            row.checked, row.median = earned(make())
            row.low = row.high = row.median
            row.rounds = 1
        except Exception as error:
            row.checked = f"left out: {type(error).__name__}: {error}"[:160]
        yield row


def earned(learners: Any) -> tuple[str, float]:
    """What two learners earn after some times, in words, and the last of those times."""
    torch.manual_seed(0)
    spent, updates, said = 0.0, 0, []
    for seconds in TIMES:
        while spent < seconds:
            started = time.perf_counter()
            learners()
            spent += time.perf_counter() - started
            updates += 1
        plural = "" if updates == 1 else "s"
        said.append(f"{mean_reward(learners.policies_now()):+.2f} after {updates} update{plural}")
    return ", ".join(said), spent


def mean_reward(logits: Sequence[Tensor]) -> float:
    """Both players', a step; -1 where they cooperate, -2 where they defect."""
    rows = [row.detach().float().unsqueeze(0) for row in logits]
    played = play(GAME, [POLICY, POLICY], rows, random_keys(2, "test", 0, 0, 1), 1024, LENGTH)
    return float(played.rewards.mean())
