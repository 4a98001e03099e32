"""Named experiments of shapers that learn in games with themselves."""

from __future__ import annotations

from mamrl.config.self_play import SelfPlayExperiment

_COIN = SelfPlayExperiment()
_IPD = SelfPlayExperiment(
    game="ipd",
    network="table",
    batch=2048,
    opponents=1,
    past_selves=1,
    push_every=1,
    entropy_weight=0.0,
    exploration=0.2,
    updates=10_000,
)

SELF_PLAY_PRESETS = {
    "loqa-coin": _COIN,
    "loqa-ipd": _IPD,
    "advantage-alignment-coin": _COIN.replace(shaper="advantage-alignment"),
    "proximal-advantage-alignment-coin": _COIN.replace(shaper="proximal-advantage-alignment", epochs=2),
    "actor-critic-coin": _COIN.replace(shaper="actor-critic"),
}
