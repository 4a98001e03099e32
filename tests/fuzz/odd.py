"""Odd calls and odd command lines, drawn and tried."""

from __future__ import annotations

import random

import faces

GOOD = ("returned", "refused", "status 0", "status 2")


def odd_call(draw: random.Random) -> tuple[str, str, str]:
    """One to three arguments of a call are others, or one is missing: its name, what came of it, what was changed."""
    name = draw.choice(sorted(faces.CASES))
    function, valid = faces.CASES[name]
    arguments = dict(valid)
    open_to_it = sorted(key for key, value in valid.items() if faces.can_be_odd(value))
    for argument in draw.sample(open_to_it, draw.randint(1, min(3, len(open_to_it)))):
        arguments[argument] = draw.choice([*faces.changes(arguments[argument]), *faces.ODD])
    changed = {key: value for key, value in arguments.items() if value is not valid[key]}
    return name, faces.attempt(function, arguments), described(changed)


def odd_command(draw: random.Random) -> tuple[str, str, str]:
    """One or two words of a command line are others, missing, there twice, or new: likewise."""
    words = list(draw.choice(faces.COMMANDS))
    name = words[0]
    for _ in range(draw.randint(1, 2)):
        place, odd = draw.randrange(len(words)), draw.choice(faces.ODD_TEXTS)
        option, equals, _ = words[place].partition("=")
        how = draw.choice(("value", "value", "word", "drop", "twice", "insert"))
        if how == "value" and equals:
            words[place] = f"{option}={odd}"
        elif how == "drop" and len(words) > 1:
            del words[place]
        elif how in ("twice", "insert"):
            words.insert(place, words[place] if how == "twice" else odd)
        else:
            words[place] = odd
    return f"mamrl {name}", faces.run_command(words), repr(words)[:300]


def described(arguments: dict[str, object]) -> str:
    """Arguments in a line."""
    parts = []
    for name, value in arguments.items():
        shape = f"{value.dtype}{tuple(value.shape)}" if hasattr(value, "shape") else repr(value)[:60]
        parts.append(f"{name}={shape}")
    return ", ".join(parts)
