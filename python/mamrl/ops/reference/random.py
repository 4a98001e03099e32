"""Counter-based random numbers: Philox4x32-10, and what is drawn with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WORD = 0xFFFFFFFF


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> list[Tensor]:
    """Philox4x32-10 (Salmon et al. 2011): four counter words and two key words, int64 in [0, 2^32) -> four words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply_words(c0, 0xD2511F53)
        high1, low1 = _multiply_words(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return [c0, c1, c2, c3]


def _multiply_words(word: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """The high and low words of a 32 x 32 bit product, in two halves since int64 has no room for all of it."""
    low_product = word * (constant & 0xFFFF)
    high_product = word * (constant >> 16) + (low_product >> 16)
    return high_product >> 16, ((high_product & 0xFFFF) << 16) | (low_product & 0xFFFF)


def uniforms(keys: Tensor, time: int, num_trajectories: int, player: int) -> Tensor:
    """What decides one player's actions at one time: (M, K) float64 in [0, 1), multiples of 2^-24.

    keys: (M, 2) int64, a seed and a stream for each chain. The seed is Philox's key; the counter's words are time,
    trajectory + 2^24 * (player // 4), and the two halves of the stream; the player takes word player % 4.
    """
    seed, stream = (keys[:, i, None].expand(-1, num_trajectories) for i in (0, 1))
    trajectory = torch.arange(num_trajectories, device=keys.device).expand_as(seed) + ((player // 4) << 24)
    counter = [torch.full_like(seed, time), trajectory, stream & WORD, (stream >> 32) & WORD]
    words = philox(counter, [seed & WORD, (seed >> 32) & WORD])
    return (words[player % 4] >> 8).to(torch.float64) * 2.0**-24


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """The action at which the cumulated probability first exceeds ``uniform``: (..., A), (...) -> (...) int64."""
    probabilities = torch.exp(logits - logits.amax(-1, keepdim=True))
    cumulated = probabilities.cumsum(-1)
    reached = cumulated <= uniform.to(logits.dtype).unsqueeze(-1) * cumulated[..., -1:]
    return reached.sum(-1).clamp(max=logits.shape[-1] - 1)
