"""Multi-agent HalfCheetah: a batch of MuJoCo's robot, its joints shared out among agents.

Kim et al. 2021, section 5.3: two agents, one the back leg and one the front leg, common reward
``direction * dx/dt - .1 |a|^2``. The physics, rewards and observations are computed in C++ (csrc/mujoco);
this module checks arguments and shapes results. Shapes: E environments, n agents.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from mamrl._load import load_optional
from mamrl.errors import choose
from mamrl.games.factorization import NUM_ACTIONS, NUM_OBSERVATIONS, Factorization
from mamrl.games.half_cheetah_painter import Painter
from mamrl.games.ownership import Guard, WholeCopies, exclusive

MUJOCO_VERSION = "4.0.0"
AUTORESETS = ("next-step", "same-step", "disabled")
BACKENDS = ("numpy", "torch")

Array: TypeAlias = Any  # np.ndarray or torch.Tensor, by the environments' backend

NUM_COORDINATES = 9

# of the compiled batch itself, which a copy makes anew
_OF_THE_BATCH = ("_module", "_batch", "_views", "_directions", "_painter")


class Step(NamedTuple):
    """What a step of all environments gives.

    Attributes:
        observations: (E, 17) float64: qpos without rootx (m, rad), then qvel (m/s, rad/s).
        rewards: (E,) float64, common to the agents.
        terminations: (E,) bool: the simulation diverged.
        truncations: (E,) bool: the episode reached its length.
        info: ``x_position`` (m), ``x_velocity`` (m/s, along +x), ``reward_forward``, ``reward_ctrl`` (both
            before ``reward_scale``), all (E,) float64; ``started`` (E,) bool, a new episode began in this
            step; with autoreset="same-step" ``final_observations`` (E, 17), valid where an episode ended; and
            where a simulation diverged ``diverged``, a dict from the environment to MuJoCo's reason.
    """

    observations: Array
    rewards: Array
    terminations: Array
    truncations: Array
    info: dict[str, Any]


@cache
def load_module() -> ModuleType:
    """Loads the compiled module and, before it, the library that it needs.

    Raises:
        ImportError: mujoco is not installed, has another version, or mamrl was built without it.
    """
    spec = importlib.util.find_spec("mujoco")
    if spec is None or spec.origin is None:
        raise ImportError("HalfCheetah needs MuJoCo, which is not installed: pip install 'mamrl[mujoco]'")
    library = Path(spec.origin).parent / f"libmujoco.so.{MUJOCO_VERSION}"
    if not library.exists():
        raise ImportError(
            f"HalfCheetah needs mujoco {MUJOCO_VERSION} exactly, and {library.parent} is another version: "
            "pip install 'mamrl[mujoco]'"
        )
    # loaded here, it is found by its soname: the module records no path to it
    ctypes.CDLL(str(library))
    module = load_optional("_C_mujoco")
    if module is None:
        raise ImportError(
            "mamrl was built without MuJoCo, so its module _C_mujoco is missing: "
            "a plain 'pip install .' in its sources builds it; with --no-build-isolation, "
            f"pip install mujoco=={MUJOCO_VERSION} pybind11 first"
        )
    return module


@cache
def load_robot() -> tuple[ModuleType, Any]:
    """The compiled module and the model that its rollouts walk, loaded once.

    Raises:
        ImportError: MuJoCo or its model file is missing; the message says what to install.
    """
    module = load_module()
    return module, module.Robot(str(default_model()))


def default_model() -> Path:
    """The model file that comes with Gymnasium.

    Raises:
        ImportError: gymnasium is not installed.
    """
    spec = importlib.util.find_spec("gymnasium")
    if spec is None or spec.origin is None:
        raise ImportError(
            "HalfCheetah's model comes with gymnasium, which is not installed: pip install 'mamrl[mujoco]'"
        )
    return Path(spec.origin).parent / "envs" / "mujoco" / "assets" / "half_cheetah.xml"


class HalfCheetah(WholeCopies):
    """E HalfCheetahs that step together.

    A new episode starts at qpos0 plus uniform noise in +-``reset_noise`` and velocities of ``reset_noise``
    times a normal. Starts are drawn from counters: environment i's e-th start depends on the seed, i and e
    alone. Results are bit-identical at any number of threads and in a batch of any size.

    Actions are clipped to [-1, 1] before they are applied and before they are charged for. A simulation that
    diverges ends its own episode: ``terminations`` is set, its reward is 0, its observation is the one before
    the step, and ``info["diverged"]`` says why; the others go on.

    Args:
        num_envs: E.
        factorization: a name ("1x6", "2x3", "6x1"), or each agent's joints, e.g. ``[("bthigh", "ffoot"),
            ...]``.
        neighbours: k, the joints that :meth:`agent_observations` shows besides an agent's own; None shows
            everything.
        direction: +1 to run right or -1 to run left, one number or one an environment.
        episode_length: control steps until truncation, 0 for never.
        reward_scale: multiplies the reward; Kim et al. 2021 divide it by 100.
        control_cost: of the squared norm of the six actions.
        reset_noise: see above.
        frame_skip: physics steps of 0.01 s in a control step.
        autoreset: "next-step" (the step after an episode's end starts the next one, ignoring its action),
            "same-step", or "disabled" (stepping an ended environment is an error).
        num_threads: threads that step simulations, the caller's included.
        seed: of :meth:`reset`, unless it gets its own.
        backend: "numpy" or "torch", what results are.
        copy: False returns views of the C++ buffers, which the next step overwrites.
        model: another MJCF file with a HalfCheetah's coordinates.

    Raises:
        ImportError: MuJoCo or its model file is missing; the message says what to install.
        ValueError: an argument out of range.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        factorization: str | Sequence[Sequence[str]] | Factorization = "2x3",
        neighbours: int | None = None,
        direction: float | Sequence[float] | np.ndarray = 1,
        episode_length: int = 1000,
        reward_scale: float = 1.0,
        control_cost: float = 0.1,
        reset_noise: float = 0.1,
        frame_skip: int = 5,
        autoreset: str = "next-step",
        num_threads: int = 1,
        seed: int = 0,
        backend: str = "numpy",
        copy: bool = True,
        model: str | Path | None = None,
    ) -> None:
        _check_at_least({"num_envs": num_envs, "frame_skip": frame_skip, "num_threads": num_threads}, 1)
        _check_at_least({"episode_length": episode_length, "reset_noise": reset_noise, "control_cost": control_cost}, 0)
        if not math.isfinite(reward_scale):
            raise ValueError(f"reward_scale is {reward_scale}, expected a finite number")
        choose("autoreset", autoreset, AUTORESETS)
        self.backend = choose("backend", backend, BACKENDS)
        self.factorization = Factorization.of(factorization)
        self._columns = self.factorization.observation_columns(neighbours)
        self.num_envs = num_envs
        self.num_agents = len(self.factorization.partition)
        self.autoreset = autoreset
        self.copy = copy
        self._guard = Guard()
        self._model = model
        self._settings = {
            "num_envs": num_envs,
            "num_threads": num_threads,
            "frame_skip": frame_skip,
            "episode_length": episode_length,
            "reward_scale": reward_scale,
            "control_cost": control_cost,
            "reset_noise": reset_noise,
        }
        self._make_batch()
        self.direction = direction
        self._seed(seed)

    def _make_batch(self) -> None:
        self._module = load_module()
        settings = self._module.Settings()
        for name, value in self._settings.items():
            setattr(settings, name, value)
        settings.model_path = str(self._model or default_model())
        settings.autoreset = getattr(self._module.Autoreset, self.autoreset.replace("-", "_"))
        self._batch = self._module.Batch(settings)
        self._views: dict[str, np.ndarray] = self._batch.views()
        self._directions = self._batch.directions()
        self._painter: Painter | None = None

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in self.__dict__.items() if name not in _OF_THE_BATCH}
        return own | {"saved": None if self._batch.closed else self._batch.save()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update((name, value) for name, value in state.items() if name != "saved")
        self._make_batch()
        if state["saved"] is None:
            self._batch.close()
        else:
            self._batch.load(state["saved"])

    @property
    def time_step(self) -> float:
        """Seconds of a control step."""
        return self._batch.time_step

    @property
    def direction(self) -> np.ndarray:
        """(E,) float64, +1 or -1."""
        return self._directions.copy()

    @direction.setter
    def direction(self, direction: float | Sequence[float] | np.ndarray) -> None:
        given = np.asarray(direction, dtype=np.float64)
        if given.shape not in ((), (self.num_envs,)) or not np.isin(given, (-1, 1)).all():
            raise ValueError(f"direction is {direction}, expected +1 or -1, one number or {self.num_envs}")
        self._directions[:] = given

    @exclusive
    def reset(
        self, *, seed: int | Sequence[int] | None = None, mask: Sequence[bool] | np.ndarray | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts new episodes.

        Args:
            seed: a number, which environment i combines with i, or one an environment, which stands alone:
                environment i then starts as the only environment of a batch with that seed would. None goes
                on with the next start.
            mask: (E,) bool, the environments to reset, and to seed where there is a seed; None means all.

        Returns:
            Observations (E, 17) of all environments, and info as in :class:`Step`.
        """
        chosen = self._mask(mask)
        if seed is not None:
            self._seed(seed, chosen)
        self._batch.reset(chosen)
        return self._give("observations"), self._info()

    @exclusive
    def step(self, actions: Any) -> Step:
        """Applies actions for ``frame_skip`` physics steps.

        Args:
            actions: (E, 6) floating in the order of :data:`~mamrl.games.factorization.JOINTS`, or a sequence
                of each agent's (E, number of its joints); NumPy arrays or CPU tensors. float32 and float64
                are read in place.

        Raises:
            TypeError: actions are not floating.
            ValueError: they have another shape, or hold NaN or infinite values.
            RuntimeError: an environment was not reset, or its episode has ended and autoreset is "disabled";
                the environments are closed, or another thread is using them.
        """
        if isinstance(actions, list | tuple):
            actions = self.factorization.join([_as_numpy("actions", a) for a in actions])
        array = _as_numpy("actions", actions)
        if array.shape != (self.num_envs, NUM_ACTIONS):
            raise ValueError(
                f"actions have shape {array.shape}, expected ({self.num_envs}, {NUM_ACTIONS}), "
                "or each agent's in a list"
            )
        self._batch.step(array)
        return Step(
            self._give("observations"),
            self._give("rewards"),
            self._give("terminations"),
            self._give("truncations"),
            self._info(),
        )

    def agent_observations(self, observations: Array) -> list[Array]:
        """What each agent sees of observations (..., 17): (..., O_a), see ``neighbours``."""
        if observations.shape[-1] != NUM_OBSERVATIONS:
            raise ValueError(f"observations have shape {tuple(observations.shape)}, expected (..., {NUM_OBSERVATIONS})")
        return [observations[..., columns] for columns in self._columns]

    def get_state(self) -> np.ndarray:
        """A copy of the simulations' states (E, S) float64, in the order of ``mjSTATE_INTEGRATION``."""
        return self._batch.get_state()

    @exclusive
    def set_state(self, states: np.ndarray, mask: Sequence[bool] | np.ndarray | None = None) -> Array:
        """Begins episodes at given states (E, S) and returns the observations (E, 17).

        Raises:
            ValueError: a wrong shape, or values that are not finite.
        """
        rows = np.ascontiguousarray(states, dtype=np.float64)
        if rows.shape != (self.num_envs, self._batch.num_state):
            raise ValueError(f"states have shape {rows.shape}, expected ({self.num_envs}, {self._batch.num_state})")
        if not np.isfinite(rows).all():
            raise ValueError("states hold NaN or infinite values, expected finite ones")
        self._batch.set_state(rows, self._mask(mask))
        return self._give("observations")

    def positions(self) -> np.ndarray:
        """Coordinates qpos (E, 9): x (m) and the rest as in the observations."""
        # mjSTATE_INTEGRATION begins with the time
        return self.get_state()[:, 1 : 1 + NUM_COORDINATES]

    def velocities(self) -> np.ndarray:
        """Of the torso along +x, (E,) m/s."""
        return self.get_state()[:, 1 + NUM_COORDINATES]

    def pictures(self) -> list[np.ndarray]:
        """One picture (270, 480, 3) uint8 an environment.

        Raises:
            OSError: no offscreen renderer works; says which was tried and why it failed.
        """
        if self._painter is None:
            self._painter = Painter(self._model or default_model())
        return [self._painter.picture(qpos) for qpos in self.positions()]

    def close(self) -> None:
        """Frees the simulations; any use afterwards is an error. Closing twice is not."""
        self._batch.close()
        if self._painter is not None:
            self._painter.close()
            self._painter = None

    def _seed(self, seed: int | Sequence[int], mask: np.ndarray | None = None) -> None:
        if isinstance(seed, int | np.integer):
            self._batch.seed([int(seed)] * self.num_envs, list(range(self.num_envs)), mask)
            return
        seeds = [int(s) for s in seed]
        if len(seeds) != self.num_envs:
            raise ValueError(f"got {len(seeds)} seeds, expected one, or {self.num_envs}")
        self._batch.seed(seeds, [0] * self.num_envs, mask)

    def _mask(self, mask: Sequence[bool] | np.ndarray | None) -> np.ndarray | None:
        if mask is None:
            return None
        array = np.asarray(mask)
        if array.dtype != np.bool_ or array.shape != (self.num_envs,):
            raise ValueError(
                f"mask has shape {array.shape} and dtype {array.dtype}, expected ({self.num_envs},) and bool"
            )
        return array.view(np.uint8)

    def _give(self, name: str) -> Array:
        values = self._views[name]
        if self.copy:
            values = values.copy()
        return torch.from_numpy(values) if self.backend == "torch" else values

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {
            "x_position": self._give("x_position"),
            "x_velocity": self._give("x_velocity"),
            "reward_forward": self._give("reward_forward"),
            "reward_ctrl": self._give("reward_control"),
            "started": self._give("started"),
        }
        if self.autoreset == "same-step":
            info["final_observations"] = self._give("final_observations")
        faults = self._views["faults"]
        if faults.any():
            info["diverged"] = {int(i): self._module.fault_text(int(faults[i])) for i in faults.nonzero()[0]}
        return info


def _as_numpy(name: str, values: Any) -> np.ndarray:
    """A C-contiguous floating array, without a copy where there can be one."""
    if isinstance(values, torch.Tensor):
        if values.device.type != "cpu":
            raise TypeError(f"{name} are on {values.device}, expected the CPU")
        values = values.detach().numpy()
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} have dtype {array.dtype}, expected float32 or float64")
    return np.ascontiguousarray(array)


def _check_at_least(values: Mapping[str, float], least: int) -> None:
    for name, value in values.items():
        if not least <= value < math.inf:
            raise ValueError(f"{name} is {value}, expected at least {least}")
