"""From the raw output of a network to a score, so that what the network must learn has unit variance."""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from dig_core.diffusion.processes import Process, Score, State, leading, over_trailing

Network = Callable[[State, Tensor], State]


def preconditioned(network: Network, process: Mapping[str, Process]) -> Score:
    """The score of a network F(y, tau) in the frame of Karras et al. 2022 (arXiv 2206.00364), eq. 7.

    For data of unit variance and y = x/alpha, tau = sigma/alpha, table 1 there gives the denoiser D = y/(1 +
    tau^2) + tau/sqrt(1 + tau^2) F(y, tau), and score = (alpha D - x)/sigma^2. The network receives y (not
    scaled: its input scaling 1/sqrt(1 + tau^2) is its own) and tau [batch] of the first field; it returns F
    for every field, in the shape of its score. What becomes of F is `Process.score_from_raw`, which projects it onto the subspace
    of the field's process; rotations have a form of their own.
    """

    def score(state: State, time: Float[Tensor, " batch"]) -> State:
        """The score of every field [batch, ...] at times [batch]."""
        signal = {field: x / over_trailing(process[field].alpha(time), x) for field, x in state.items()}
        raw = network(signal, leading(process).noise_to_signal(time))
        return {field: process[field].score_from_raw(y, raw[field], time) for field, y in signal.items()}

    return score
