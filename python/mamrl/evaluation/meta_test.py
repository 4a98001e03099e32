"""The papers' meta-test: a trained agent adapts to unseen personas that learn too."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from mamrl.config.setting import Setting
from mamrl.distributed import ALONE, Ranks
from mamrl.evaluation.statistics import confidence_interval
from mamrl.meta import Position, Sampler, unroll
from mamrl.meta.exact_chain import ExactPosition, mean_rewards, unroll_exact
from mamrl.populations.personas import Population


@dataclass(frozen=True, eq=False, repr=False)
class MetaTest:
    """What a meta-test measured.

    Attributes:
        rewards: the meta-agent's mean reward a step, (repeats, L + 1, personas).
        peer_rewards: the first peer's, likewise.
        action_frequencies: how often player p (0 the meta-agent, 1 its first peer) chose action a in state s, by kind
            of peer: (groups, L + 1, 2, S, A) counts summed over personas and repeats.
        groups: (personas,) int64, each persona's group.
        group_names: the groups' names.
    """

    rewards: Tensor
    peer_rewards: Tensor
    action_frequencies: Tensor
    groups: Tensor
    group_names: tuple[str, ...]

    @property
    def auc(self) -> Tensor:
        """Sum over l = 1..L of the mean reward a step, for each persona: (personas,)."""
        return self.rewards.mean(0)[1:].sum(0)

    def rows(self) -> list[dict[str, object]]:
        """One row for each (group, position): mean reward with its 95% interval over personas; then the AUC."""
        result: list[dict[str, object]] = []
        for name, members in self._splits():
            by_persona = self.rewards.mean(0)[:, members]
            for position, samples in enumerate(by_persona):
                mean, half = confidence_interval(samples)
                result.append({"peers": name, "position": position, "reward": mean, "interval": half})
            mean, half = confidence_interval(self.auc[members])
            result.append({"peers": name, "position": "AUC", "reward": mean, "interval": half})
        return result

    def _splits(self) -> list[tuple[str, Tensor]]:
        everyone = torch.ones_like(self.groups, dtype=torch.bool)
        return [("all", everyone)] + [(name, self.groups == g) for g, name in enumerate(self.group_names)]

    def csv(self) -> str:
        """The rows as CSV text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["peers", "position", "reward", "interval"], lineterminator="\n")
        writer.writeheader()
        for row in self.rows():
            writer.writerow({k: f"{v:.5f}" if isinstance(v, float) else v for k, v in row.items()})
        return text.getvalue()

    def actions_csv(self, state_names: Sequence[str]) -> str:
        """How often each player chose each action in each state, by kind of peer and position, as CSV text."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        groups, positions, players, states, actions = self.action_frequencies.shape
        writer.writerow(["peers", "position", "player", "state", "visits", *(f"action_{a}" for a in range(actions))])
        for group, position, player, state in product(*map(range, (groups, positions, players, states))):
            counts = self.action_frequencies[group, position, player, state].tolist()
            visits = sum(counts)
            shares = [f"{count / visits:.5f}" if visits else "" for count in counts]
            place = self.group_names[group], position, ("meta-agent", "peer")[player], state_names[state]
            writer.writerow([*place, int(visits), *shares])
        return text.getvalue()

    def table(self) -> str:
        """A plain-text table: positions down, groups of peers across."""
        header, *lines = self._cells()
        rows = [f"{header[0]:>8} " + "".join(f"{name:>18}" for name in header[1:])]
        rows += [f"{position:>8} " + "".join(f"{cell:>18}" for cell in cells) for position, *cells in lines]
        return "\n".join(rows)

    def _cells(self) -> list[list[str]]:
        """The table's rows, the header first."""
        splits = [name for name, _ in self._splits()]
        cells = {
            (row["peers"], row["position"]): f"{row['reward']:+.3f} ± {row['interval']:.3f}" for row in self.rows()
        }
        positions: list[object] = [*range(self.rewards.shape[1]), "AUC"]
        return [["position", *splits], *([str(p), *(cells[name, p] for name in splits)] for p in positions)]

    def __repr__(self) -> str:
        return f"mean reward a step, {len(self.groups)} personas\n{self.table()}"

    def _repr_html_(self) -> str:
        header, *lines = self._cells()
        head = "".join(f"<th>{name}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def adapt_to_population(
    setting: Setting,
    parameters: Tensor,
    own_lr: Tensor,
    split: str = "test",
    seed: int = 0,
    repeats: int = 1,
    round_number: int = 0,
    ranks: Ranks = ALONE,
) -> MetaTest:
    """Adapts to every persona of a split, each in a chain of its own, and measures the reward at each position.

    Args:
        setting: the experiment's parts; agents trained on the exact chain are tested on the exact chain.
        parameters: phi_0^i, (P,).
        own_lr: (L,).
        split: "test" or "validation".
        seed: of the sampled trajectories.
        repeats: how often each chain is played, with fresh trajectories.
        round_number: sets the random streams of several tests in one run apart.
        ranks: who else plays some of the personas; all of them get the whole result.

    Returns:
        Rewards and actions by position; agents of the exact chain have one repeat and no actions.
    """
    population = setting.populations[split]
    personas = len(population)
    everyone, rates = _first_rows(setting, parameters, own_lr, population, seed)
    # with more ranks than personas some play the first along and are not asked
    share, groups = ranks.share(personas), population.groups
    here = share if share.stop > share.start else slice(0, 1)
    rows, rates = [row[here] for row in everyone], rates[here]
    if setting.experiment.agent == "tabular-exact":
        rewards = _exact_rewards(setting, rows, rates)[:, :2].unsqueeze(0)
        frequencies = _no_frequencies(rewards.shape[1])
    else:
        played = [
            _play_chain(setting, rows, rates, split, seed, round_number * repeats + repeat, here.start)
            for repeat in range(repeats)
        ]
        by_kind = [_frequencies(setting, positions, population, groups[here]) for positions in played]
        frequencies = torch.stack(by_kind).sum(0) * (share.stop > share.start)
        rewards = torch.stack([torch.stack([_mean_rewards(p.trajectories.rewards) for p in ps]) for ps in played])
    by_persona = rewards.movedim(-1, 0)[: share.stop - share.start].contiguous()
    rewards = ranks.gather([by_persona], personas)[0].movedim(0, -1).cpu()
    frequencies = ranks.gather([frequencies.unsqueeze(0)], ranks.count)[0].sum(0)
    return MetaTest(rewards[:, :, 0], rewards[:, :, 1], frequencies, groups, population.group_names)


def adapt_to_persona(
    setting: Setting, parameters: Tensor, own_lr: Tensor, persona: int, split: str = "test", seed: int = 0
) -> list[list[Tensor]]:
    """The joint parameters along one chain of :func:`adapt_to_population`, in its first repeat.

    Args:
        setting: the experiment's parts.
        parameters: phi_0^i, (P,).
        own_lr: (L,).
        persona: which of the split, from 0.
        split: "test" or "validation".
        seed: of the sampled trajectories.

    Returns:
        For each position 0..L every player's parameters (P_a,).

    Raises:
        ValueError: the split has no such persona.
    """
    population = setting.populations[split]
    if not 0 <= persona < len(population):
        raise ValueError(f"persona is {persona}, expected at least 0 and below {len(population)}")
    everyone, rates = _first_rows(setting, parameters, own_lr, population, seed)
    rows, rates = [row[persona : persona + 1] for row in everyone], rates[persona : persona + 1]
    positions: Sequence[Position | ExactPosition]
    if setting.experiment.agent == "tabular-exact":
        positions = _exact_positions(setting, rows, rates)
    else:
        positions = _play_chain(setting, rows, rates, split, seed, 0, persona)
    return [[row[0].detach() for row in position.parameters] for position in positions]


def _first_rows(
    setting: Setting, parameters: Tensor, own_lr: Tensor, population: Population, seed: int
) -> tuple[list[Tensor], Tensor]:
    """Every player's phi_0 and the meta-agent's rates, one chain a persona."""
    personas, generator = len(population), torch.Generator().manual_seed(seed)
    peers = [population.parameters]
    # further peers are drawn from the same split (Kim et al. 2021, question 6)
    for _ in range(1, setting.num_peers):
        peers.append(population.parameters[torch.randint(personas, (personas,), generator=generator)])
    own = parameters.to(setting.device).expand(personas, -1).clone()
    return [own, *peers], own_lr.to(setting.device).expand(personas, -1)


def _play_chain(
    setting: Setting,
    parameters: Sequence[Tensor],
    own_lr: Tensor,
    split: str,
    seed: int,
    round_number: int,
    first_chain: int,
) -> list[Position]:
    experiment, chains = setting.experiment, len(own_lr)
    keys = setting.keys(seed, split, round_number, chains, experiment.chain_length + 1, first_chain=first_chain)
    sampler = setting.sampler(keys)

    def simulations(first: int, count: int) -> Sampler:
        # their streams come after those of the chain itself
        first_position = experiment.chain_length + 1 + first
        keys = setting.keys(
            seed, split, round_number, chains, count, first_chain=first_chain, first_position=first_position
        )
        return setting.sampler(keys)

    return unroll(
        experiment,
        setting.game,
        setting.policies,
        parameters,
        own_lr,
        sampler,
        differentiable=False,
        own_gradient=experiment.method.own_gradient(experiment, setting.game, setting.policies, simulations),
    )


def _mean_rewards(rewards: Tensor) -> Tensor:
    """The meta-agent's and its first peer's, a step: (n, T, M, K) -> (2, M)."""
    return torch.stack([rewards[player].mean((0, 2)) for player in (0, 1)])


def _exact_rewards(setting: Setting, parameters: Sequence[Tensor], own_lr: Tensor) -> Tensor:
    positions = _exact_positions(setting, parameters, own_lr)
    return mean_rewards(setting.game, setting.policies, positions, setting.experiment.horizon)


def _exact_positions(setting: Setting, parameters: Sequence[Tensor], own_lr: Tensor) -> list[ExactPosition]:
    experiment = setting.experiment
    return unroll_exact(
        setting.game,
        setting.policies,
        parameters,
        own_lr,
        experiment.peer_lr,
        experiment.chain_length,
        experiment.discount,
        experiment.terms,
        differentiable=False,
        own_step=experiment.own_step,
    )


def _frequencies(setting: Setting, positions: Sequence[Position], population: Population, groups: Tensor) -> Tensor:
    """Counts (groups, L + 1, 2, S, A) of actions by state, of the meta-agent and its first peer; no groups for games
    without a table of states."""
    num_states, num_actions = setting.game.num_states, max(setting.game.action_counts, default=0)
    if num_states is None or not num_actions:
        return _no_frequencies(len(positions))
    size = len(population.group_names), 2, num_states * num_actions
    counts = torch.zeros(len(positions), *size, dtype=torch.float64)
    for position, by_group in zip(positions, counts, strict=True):
        states, actions = position.trajectories.states[:2], position.trajectories.actions[:2]
        cells = (states * num_actions + actions).cpu()
        for group, by_player in enumerate(by_group):
            members = groups == group
            for player, row in enumerate(by_player):
                row += torch.bincount(cells[player][:, members].flatten(), minlength=len(row))
    return counts.transpose(0, 1).unflatten(-1, (num_states, num_actions))


def _no_frequencies(positions: int) -> Tensor:
    return torch.zeros(0, positions, 2, 0, 0, dtype=torch.float64)
