import os
import subprocess
import sys

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("pettingzoo")

from gymnasium.utils.env_checker import check_env  # noqa: E402
from gymnasium.wrappers import RenderCollection  # noqa: E402

from mamrl.envs import parallel  # noqa: E402
from mamrl.envs.drawing import coin_game_picture, coin_game_text, matrix_game_picture  # noqa: E402
from mamrl.games import MatrixGame, ipd, rock_paper_scissors  # noqa: E402
from mamrl.games.coin_game import coin_game  # noqa: E402

IDS = ["mamrl/IPD-v0", "mamrl/CoinGame-v0", "mamrl/HalfCheetahDir-v0"]
GAMES = ["ipd", "coin-game", "half-cheetah"]


def need_mujoco(name):
    if "heetah" in name:
        pytest.importorskip("mujoco")


def drawn(render):
    """A picture, or a skip where nothing can draw HalfCheetah."""
    try:
        return render()
    except OSError as error:
        reason = str(error)
    assert "no offscreen renderer works: MUJOCO_GL=" in reason
    pytest.skip(reason)


def test_a_matrix_games_text_tells_who_played_what():
    env = gymnasium.make("mamrl/IPD-v0", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "ipd, step 0: nobody has played yet"
    env.step(1)
    assert env.render() == "ipd, step 1: player 0 played 1 for 1.5, player 1 played 0 for -1.5"


def test_a_matrix_games_picture_frames_what_was_played():
    before, after = matrix_game_picture(ipd(), 0), matrix_game_picture(ipd(), 3)
    assert before.shape == (96, 96, 3)
    assert before.dtype == np.uint8
    changed = (before != after).any(-1)
    # state 3: the first player defected, the second cooperated
    assert changed[48:, :48].any()
    assert not changed[:48].any()
    assert not changed[:, 48:].any()
    # who is paid least sees white, who is paid most its full colour
    assert before[72, 12].tolist() == [0, 114, 178]
    assert before[72, 36].tolist() == [255, 255, 255]
    assert matrix_game_picture(rock_paper_scissors(3), 27).shape == (3 * 48, 9 * 48, 3)
    assert matrix_game_picture(MatrixGame(np.zeros((2, 1, 3))), 3).shape == (48, 3 * 48, 3)


def test_the_coin_games_text_is_its_grid():
    game = coin_game("two-coins")
    assert coin_game_text(game, [0, 4, 4, 8], 2) == "two-coins, step 2\n0  .  .\n.  1a .\n.  .  b"
    assert coin_game_text(coin_game("loqa"), [0, 1, 5, 1], 0) == "loqa, step 0\n0 1 .\n. . b\n. . ."


def test_the_coin_games_picture_shows_players_and_coins_where_they_are():
    picture = coin_game_picture(coin_game("two-coins"), [0, 0, 4, 8])
    assert picture.shape == (144, 144, 3)
    blue, red = [0, 114, 178], [213, 94, 0]
    # both players in the first cell, each in its half; a coin in the middle one, another in the last
    assert [picture[24, 12].tolist(), picture[24, 36].tolist()] == [blue, red]
    assert [picture[72, 48 + 12].tolist(), picture[120, 96 + 36].tolist()] == [blue, red]
    assert (picture[60, 110] == 255).all()


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_a_vector_environment_draws_each_of_its_environments_as_alone(env_id, mode):
    need_mujoco(env_id)
    envs = gymnasium.make_vec(env_id, num_envs=2, render_mode=mode)
    one = gymnasium.make(env_id, render_mode=mode)
    envs.reset(seed=3), one.reset(seed=4)
    action = one.action_space.sample()
    envs.step(np.stack([action, action])), one.step(action)
    frames = drawn(envs.render)
    assert isinstance(frames, tuple)
    assert len(frames) == 2
    np.testing.assert_array_equal(frames[1], one.render())
    envs.close(), one.close()


@pytest.mark.filterwarnings("ignore:.*Box observation space.*")
@pytest.mark.parametrize("env_id", IDS)
def test_gymnasiums_checks_of_rendering_pass(env_id):
    need_mujoco(env_id)
    if "heetah" in env_id:
        env = gymnasium.make(env_id, render_mode="rgb_array")
        env.reset(seed=0)
        drawn(env.render)
    check_env(gymnasium.make(env_id, disable_env_checker=True).unwrapped)


@pytest.mark.parametrize("game", GAMES)
def test_a_parallel_environment_draws(game):
    need_mujoco(game)
    env = parallel(game, render_mode="ansi")
    env.reset(seed=0)
    env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    assert {"ipd": "ipd, step 1", "coin-game": "one-coin, step 1", "half-cheetah": "x "}[game] in env.render()
    env = parallel(game, render_mode="rgb_array")
    env.reset(seed=0)
    picture = drawn(env.render)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    env.close()


def test_half_cheetahs_picture_moves_with_it():
    need_mujoco(IDS[2])
    env = gymnasium.make(IDS[2], render_mode="rgb_array")
    env.reset(seed=0)
    first = drawn(env.render)
    assert first.shape == (270, 480, 3)
    for _ in range(5):
        env.step(np.ones(6, np.float32))
    assert (env.render() != first).any()
    env.close()


def test_drawing_works_though_mujoco_came_first_and_its_failure_is_told_again():
    pytest.importorskip("mujoco")
    code = "import mujoco, numpy; from mamrl.games.half_cheetah import default_model\n"
    code += "from mamrl.games.half_cheetah_painter import Painter\nfor _ in range(2):\n"
    code += " try: print(Painter(default_model(), 64, 48).picture(numpy.zeros(9)).std() > 0)\n"
    code += " except OSError as error: print(str(error)[:28])"
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    for chosen in ({}, {"MUJOCO_GL": "osmesa"}):
        run = [sys.executable, "-c", code]
        done = subprocess.run(run, env=environment | chosen, check=True, capture_output=True, text=True)
        first, second = done.stdout.split("\n")[:2]
        assert first == second
        assert first in ("True", "no offscreen renderer works:")


def test_a_list_of_pictures_is_gymnasiums_to_collect():
    env = gymnasium.make("mamrl/IPD-v0", render_mode="rgb_array_list")
    assert isinstance(env, RenderCollection)
    env.reset(seed=0)
    env.step(0)
    assert len(env.render()) == 2


@pytest.mark.parametrize("env_id", IDS)
def test_no_mode_is_accepted_and_then_nothing_is_drawn(env_id):
    need_mujoco(env_id)
    for env in (gymnasium.make(env_id, render_mode=None), gymnasium.make_vec(env_id, num_envs=2, render_mode=None)):
        env.reset(seed=0)
        with pytest.raises(RuntimeError, match=r"^render\(\) draws nothing without a render_mode: make"):
            env.render()


@pytest.mark.parametrize("game", GAMES)
def test_of_a_parallel_environment_too(game):
    need_mujoco(game)
    env = parallel(game, render_mode=None)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match=r"^render\(\) draws nothing without a render_mode"):
        env.render()


@pytest.mark.filterwarnings("ignore:.*render_mode='pixels'.*")
def test_a_mode_that_is_not_offered_is_refused():
    for make, name in ((gymnasium.make_vec, "mamrl/IPD-v0"), (parallel, "ipd")):
        with pytest.raises(ValueError, match="unknown render_mode 'human'; expected one of ansi, rgb_array"):
            make(name, render_mode="human")
    with pytest.raises(ValueError, match="unknown render_mode 'pixels'"):
        gymnasium.make("mamrl/IPD-v0", render_mode="pixels")


def test_before_the_first_reset_there_is_nothing_to_draw():
    env = gymnasium.make_vec("mamrl/IPD-v0", num_envs=2, render_mode="ansi")
    for each in (env, parallel("coin-game", render_mode="ansi")):
        with pytest.raises(RuntimeError, match=r"have not been reset, call reset\(\) before render\(\)"):
            each.render()
