import numpy as np
import pytest
import torch

gymnasium = pytest.importorskip("gymnasium")

import mamrl.envs  # noqa: E402, F401
from mamrl import preset, train  # noqa: E402
from mamrl.envs import LearningOpponent  # noqa: E402
from mamrl.envs.draws import Draws  # noqa: E402
from mamrl.envs.learning import Learner  # noqa: E402
from mamrl.envs.seats import opponent_of, opponents_of  # noqa: E402
from mamrl.games import ipd, rock_paper_scissors, stag_hunt  # noqa: E402
from mamrl.meta.objectives import inner_objective  # noqa: E402
from mamrl.ops import reference  # noqa: E402
from mamrl.policies import TabularPolicy  # noqa: E402
from mamrl.policies.strategies import STRATEGIES, named_strategy  # noqa: E402
from mamrl.populations.personas import Population, personas_for  # noqa: E402

POLICY = TabularPolicy(5, 2)


def play(opponent, steps, num_envs=1, length=10, own=0, seed=0):
    """The opponent's actions (steps, E) against an agent that always does the same; -1 where it waits."""
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=num_envs, opponent=opponent, episode_length=length)
    env.reset(seed=seed)
    actions = []
    for _ in range(steps):
        states = env.step(np.full(num_envs, own))[0]
        actions.append(np.where(states == 0, -1, (states - 1) % 2))
    return np.stack(actions), env


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("own", [0, 1])
def test_named_strategies_play_their_tables(name, own):
    count = 4000
    actions, _ = play(name, 4, num_envs=count, own=own)
    table = named_strategy(name, ipd(), player=1)
    state = np.zeros(count, int)
    for chosen in actions:
        for s in np.unique(state):
            share = (chosen[state == s] == 0).mean()
            spread = 4 * (0.25 / (state == s).sum()) ** 0.5 if 0 < table[s, 0] < 1 else 0
            assert abs(share - float(table[s, 0])) <= spread
        state = 1 + 2 * chosen + own


def test_a_persona_stays_for_an_episode_and_changes_with_it():
    # personas that are sure of themselves: always cooperate, or always defect
    rows = torch.tensor([[1.0], [-1.0]]).repeat(1, 5) * 1e4
    population = Population(rows, torch.tensor([0, 1]), ("cooperators", "defectors"))
    actions, _ = play(population, 22 * 20, num_envs=30, length=21)
    episodes = actions.reshape(20, 22, 30)
    assert (episodes[:, 21] == -1).all()
    assert (episodes[:, :21] == episodes[:, :1]).all()
    assert 0.4 < episodes[:, 0].mean() < 0.6
    assert (episodes[1:, 0] != episodes[:-1, 0]).any(axis=0).all()


def test_a_table_and_a_function_play_alike():
    always_second = torch.tensor([[0.0, 1.0]]).repeat(5, 1)
    by_table, _ = play(always_second, 12)
    by_function, _ = play(np.ones_like, 12)
    np.testing.assert_array_equal(by_table, by_function)


def test_the_function_sees_its_own_side():
    seen = []

    def remember(states):
        seen.append(states.tolist())
        return np.ones_like(states)

    play(remember, 3)
    # it defected against a cooperator: DC from where it sits
    assert seen == [[0], [3], [3]]


def learner(num_envs=1, **settings):
    return Learner(LearningOpponent(**settings), ipd(), 1, num_envs, 6)


def test_a_learner_takes_the_papers_policy_gradient_step():
    population = personas_for(ipd())["train"]
    settings = LearningOpponent(population, episodes=3, lr=0.7, discount=0.9, gae_lambda=0.8)
    opponent, draws = Learner(settings, ipd(), 1, 2, 6), Draws(2)
    draws.seed(torch.arange(2), torch.tensor([4, 5]))
    opponent.begin(torch.arange(2), draws, afresh=True)
    before = opponent.parameters.clone()
    assert any(torch.equal(before[0], row) for row in population.parameters)
    generator = torch.Generator().manual_seed(0)
    states = torch.randint(5, (6, 2, 3), generator=generator)
    actions = torch.randint(2, (6, 2, 3), generator=generator)
    rewards = torch.randn(6, 2, 3, generator=generator)
    for k in range(3):
        for t in range(6):
            assert torch.equal(opponent.parameters, before)
            ended = torch.ones(2, dtype=torch.bool) if t == 5 else None
            opponent.observe(states[t, :, k], actions[t, :, k], rewards[t, :, k], None, ended)
        opponent.begin(torch.arange(2), draws, afresh=False)
    rows = before.clone().requires_grad_()
    log_probs = torch.log_softmax(POLICY.table(rows), -1)[torch.arange(2)[:, None], states, actions]
    value = inner_objective(log_probs, states, rewards, 5, 0.9, 0.8)
    (gradient,) = torch.autograd.grad(value.sum(), rows)
    torch.testing.assert_close(opponent.parameters, before + 0.7 * gradient)
    torch.testing.assert_close(opponent.probabilities, torch.softmax(POLICY.table(opponent.parameters), -1))
    assert opponent.lessons.tolist() == [1, 1]


def test_a_learner_learns_to_exploit_a_cooperator():
    settings = LearningOpponent(episodes=4, lr=1.0)
    actions, _ = play(settings, 40 * 11, num_envs=50, length=10)
    played = actions.reshape(40, 11, 50)[:, :10]
    assert played[:4].mean() < 0.7
    assert played[-4:].mean() > 0.9


def test_after_its_lifetime_a_learner_is_another_persona():
    opponent, draws = learner(episodes=1, lifetime=2, lr=0.0), Draws(1)
    draws.seed(torch.arange(1), torch.tensor([1]))
    everyone, firsts = torch.arange(1), []
    for episode in range(6):
        draws.begin(everyone)
        opponent.begin(everyone, draws, afresh=episode == 0)
        firsts.append(opponent.parameters[0].clone())
        for t in range(6):
            zero = torch.zeros(1, dtype=torch.int64)
            opponent.observe(zero, zero, torch.zeros(1), None, torch.tensor([True]) if t == 5 else None)
    assert torch.equal(firsts[0], firsts[1])
    assert torch.equal(firsts[2], firsts[3])
    assert not torch.equal(firsts[1], firsts[2])
    assert not torch.equal(firsts[3], firsts[4])


def test_a_broken_off_episode_teaches_nothing():
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=2, opponent=LearningOpponent(episodes=1), episode_length=4)
    env.reset(seed=0)
    opponent = env._opponents[0]
    before = opponent.parameters.clone()
    for _ in range(3):
        env.step(np.zeros(2, int))
    env.reset(options={"reset_mask": np.array([True, False])})
    env.step(np.zeros(2, int))
    assert torch.equal(opponent.parameters[0], before[0])
    assert not torch.equal(opponent.parameters[1], before[1])


def short_run(folder, agent):
    experiment = preset("ipd-tabular").replace(
        agent=agent, hidden_size=8, chains=1, iterations=1, num_trajectories=4, horizon=8, chain_length=1
    )
    return train(experiment, seed=0, out=folder, progress=False, tensorboard=False)


@pytest.mark.parametrize("agent", ["tabular", "lstm"])
def test_a_trained_runs_agent_plays_its_policy(agent, tmp_path):
    run = short_run(tmp_path / "run", agent)
    count, own = 4000, 1
    actions, _ = play(str(tmp_path / "run"), 3, num_envs=count, own=own)
    policy, rows = run.setting.policies[0], run.parameters.unsqueeze(0)
    # the probability of what was played, after what each environment had seen
    states = torch.zeros(3, 1, count, dtype=torch.int64)
    states[1:, 0] = torch.from_numpy(1 + 2 * actions[:-1] + own)
    expected = torch.softmax(policy.logits(rows, states), -1)[..., 1].detach()
    for t in range(3):
        # four standard deviations of the mean
        assert abs(actions[t].mean() - float(expected[t].mean())) < 4 * (0.25 / count) ** 0.5


def test_the_recurrent_opponent_computes_the_policys_logits(tmp_path):
    run = short_run(tmp_path / "run", "lstm")
    opponent, draws = opponent_of(tmp_path / "run", ipd(), 1, 3, 10), Draws(3)
    policy = run.setting.policies[0]
    states = torch.randint(5, (6, 1, 3), generator=torch.Generator().manual_seed(0))
    logits = policy.logits(run.parameters.unsqueeze(0), states)
    opponent.begin(torch.arange(3), draws, afresh=True)
    for t in range(6):
        opponent.act(states[t, 0], draws)
        hidden = opponent._hidden @ opponent._head.T + opponent._bias
        torch.testing.assert_close(hidden, logits[t, 0].detach(), rtol=1e-5, atol=1e-5)
    opponent.begin(torch.tensor([1]), draws, afresh=False)
    opponent.act(states[0, 0], draws)
    again = reference.lstm(*_tensors(policy, run, states[:1]))[0, 0]
    torch.testing.assert_close((opponent._hidden @ opponent._head.T + opponent._bias)[1], again[1])


def _tensors(policy, run, states):
    table, *others = policy.networks(run.parameters.unsqueeze(0))
    return table, states, *others


@pytest.mark.parametrize(
    ("given", "game", "error", "message"),
    [
        ("tit-for-two", ipd(), ValueError, "unknown opponent 'tit-for-two' \\(did you mean 'tit-for-tat'"),
        ("extortion", stag_hunt(), ValueError, "'extortion' is for symmetric prisoner's dilemmas"),
        (3, ipd(), TypeError, "opponent is int, expected a name"),
        (torch.ones(5, 2), ipd(), ValueError, "holds rows that are no probabilities"),
        (torch.ones(4, 2) / 2, ipd(), ValueError, r"of shape \(4, 2\), expected floating of \(5, 2\)"),
        (personas_for(ipd())["train"], rock_paper_scissors(), ValueError, "has 5 parameters a persona, expected 30"),
    ],
)
def test_opponents_that_do_not_fit_are_named(given, game, error, message):
    with pytest.raises(error, match=message):
        opponent_of(given, game, 1, 3, 10)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        opponent_of(tmp_path, ipd(), 1, 3, 10)


def test_a_run_of_another_game_is_named(tmp_path):
    short_run(tmp_path / "run", "tabular")
    with pytest.raises(ValueError, match="the run's agent is of 5 states and 2 actions, expected 10 and 3 for rps2"):
        opponent_of(tmp_path / "run", rock_paper_scissors(), 1, 3, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 0}, "episodes is 0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"objective": "plain"}, "unknown objective 'plain'"),
    ],
)
def test_bad_learners_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        LearningOpponent(**settings)


def test_a_learner_needs_episodes_that_end():
    with pytest.raises(ValueError, match="episode_length is 0"):
        opponent_of("learning", ipd(), 1, 3, 0)


def test_each_seat_may_have_its_own_opponent():
    seats = opponents_of(["random", "personas"], rock_paper_scissors(3), 2, 10)
    assert [seat.player for seat in seats] == [1, 2]
    with pytest.raises(ValueError, match="got 1 opponents, expected one, or 2"):
        opponents_of(["random"], rock_paper_scissors(3), 2, 10)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda states: states[:1], r"gave actions of int64 and shape \(1,\), expected integers of shape \(3,\)"),
        (lambda states: states * 0.5, "gave actions of float64"),
        (lambda states: states + 7, "the opponent's actions go from 7 to 7, expected 0 to 1"),
    ],
)
def test_what_a_function_gives_is_checked(function, message):
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=3, opponent=function)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(np.zeros(3, int))
