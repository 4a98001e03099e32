"""Experiments in files: TOML or JSON, written by hand or left behind by an earlier run."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mamrl.config.experiment import field_types
from mamrl.errors import choose

_BESIDES = ("preset", "seed", "experiment", "parts", "sessions")


@dataclass(frozen=True)
class ConfigFile:
    """What a file says of a training.

    Attributes:
        fields: of the experiment.
        preset: what the fields are changes of, or None: of the defaults.
        seed: or None.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    preset: str | None = None
    seed: int | None = None


def read_config(path: str | Path) -> ConfigFile:
    """Reads a file of experiment fields.

    The fields stand at the top, or in a table ``experiment`` as in the ``experiment.json`` of a run; beside them may
    stand ``preset`` and ``seed``.

    Args:
        path: a .toml or .json file, or a run folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: neither TOML nor JSON, an unknown field, or a field of the wrong type.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "experiment.json"
    text = file.read_text()
    try:
        content = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is no {'JSON' if file.suffix == '.json' else 'TOML'} ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("experiment", {}), dict):
        raise ValueError(f"{file} holds no table of fields")
    fields = {name: value for name, value in content.items() if name not in _BESIDES} | content.get("experiment", {})
    for name, value in fields.items():
        kind = field_types()[choose("field", name, field_types())]
        if kind is float and type(value) is int:
            fields[name] = float(value)
        elif type(value) is not kind:
            raise ValueError(f"{file}: {name} is {value!r}, expected a value of type {kind.__name__}")
    preset, seed = content.get("preset"), content.get("seed")
    if not (preset is None or isinstance(preset, str)):
        raise ValueError(f"{file}: preset is {preset!r}, expected a name")
    if not (seed is None or type(seed) is int):
        raise ValueError(f"{file}: seed is {seed!r}, expected an integer")
    return ConfigFile(fields, preset, seed)
