"""Pictures of HalfCheetah, by MuJoCo's offscreen renderer."""

from __future__ import annotations

import ctypes.util
import importlib
import os
from pathlib import Path
from typing import ClassVar

import numpy as np


class Painter:
    """Draws the robot at given coordinates, seen by the camera that goes along with it.

    Args:
        model: the MJCF file.
        width: of a picture, in pixels.
        height: likewise.

    Raises:
        ImportError: MuJoCo is missing.
        OSError: no offscreen renderer works; says which was tried and why it failed.
    """

    # why drawing failed in this process: MuJoCo, asked a second time, would end it
    _failure: ClassVar[str | None] = None

    def __init__(self, model: str | Path, width: int = 480, height: int = 270) -> None:
        if Painter._failure is not None:
            raise OSError(Painter._failure)
        chosen = os.environ.get("MUJOCO_GL")
        # MuJoCo reads this once, when it is first imported; a choice of the user's stands
        backend = os.environ.setdefault("MUJOCO_GL", "egl" if ctypes.util.find_library("EGL") else "osmesa")
        try:
            import mujoco
            from mujoco.rendering.classic import gl_context

            if chosen is None:
                # where it was imported before, it has made a choice of its own, which needs a screen
                gl_context.GLContext = importlib.import_module(f"mujoco.{backend}").GLContext
            self._mujoco = mujoco
            self._model = mujoco.MjModel.from_xml_path(str(model))
            self._data = mujoco.MjData(self._model)
            self._renderer = mujoco.Renderer(self._model, height, width)
        except ModuleNotFoundError as error:
            raise ImportError(f"drawing needs MuJoCo: pip install 'mamrl[mujoco]' ({error})") from None
        except Exception as error:  # every backend fails in a way of its own
            Painter._failure = (
                f"no offscreen renderer works: MUJOCO_GL={backend} failed ({type(error).__name__}: {error}). Install "
                "EGL (libegl1) or OSMesa (libosmesa6), and set MUJOCO_GL to egl or osmesa"
            )
            raise OSError(Painter._failure) from error

    def picture(self, qpos: np.ndarray) -> np.ndarray:
        """(height, width, 3) uint8, of the coordinates (9,)."""
        self._data.qpos[:] = qpos
        self._mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera="track")
        return self._renderer.render()

    def close(self) -> None:
        """Frees the renderer; closing twice is no error."""
        self._renderer.close()
