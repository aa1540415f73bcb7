"""From the raw output of a network to a score, so that what the network must learn has unit variance."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import Process, Score, State, leading, over_trailing

Network = Callable[[State, Tensor], State]


def preconditioned(network: Network, process: Mapping[str, Process]) -> Score:
    """The score of a network F(y, tau) in the frame of Karras et al. 2022 (arXiv 2206.00364), eq. 7.

    For data of unit variance and y = x/alpha, tau = sigma/alpha, table 1 there gives the denoiser D = y/(1 +
    tau^2) + tau/sqrt(1 + tau^2) F(y, tau), and score = (alpha D - x)/sigma^2. The network receives y (not
    scaled: its input scaling 1/sqrt(1 + tau^2) is its own) and tau [batch] of the first field; it returns F
    for every field. F is projected onto the subspace of the field's process.
    """

    def score(state: State, time: Float[Tensor, " batch"]) -> State:
        """The score of every field [batch, ...] at times [batch]."""
        signal = {field: x / over_trailing(process[field].alpha(time), x) for field, x in state.items()}
        raw = network(signal, leading(process).noise_to_signal(time))
        return {field: score_from_raw(process[field], y, raw[field], time) for field, y in signal.items()}

    return score


def score_from_raw(
    process: Process,
    y: Float[Tensor, "batch *shape"],
    raw: Float[Tensor, "batch *shape"],
    time: Float[Tensor, " batch"],
) -> Float[Tensor, "batch *shape"]:
    """(alpha D - x)/sigma^2 with D of eq. 7 inserted: no large numbers cancel at small or large tau."""
    alpha = over_trailing(process.alpha(time), y)
    tau = over_trailing(process.noise_to_signal(time), y)
    total = torch.sqrt(1.0 + tau**2)
    return (process.projection(raw) / (tau * total) - y / total**2) / alpha
