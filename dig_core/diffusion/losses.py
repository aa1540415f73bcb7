"""Denoising score matching, and the noise levels at which it is evaluated."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dig_core.diffusion.processes import Process, Score, State, leading, over_trailing


@dataclass(frozen=True)
class Batch:
    """What a loss is given in one step of training.

    Args:
        indices: which frames.
        generator: of random numbers.
        progress: the share of steps that are done.
        part: which process this is, and of how many. A loss draws for the whole batch and may compute `own` rows alone.
    """

    indices: Int[Tensor, " batch"]
    generator: torch.Generator
    progress: float = 1.0
    part: tuple[int, int] = (0, 1)

    def own(self, *drawn: Shaped[Tensor, "rows ..."]) -> list[Shaped[Tensor, "share ..."]]:
        """Of tensors that were drawn for the whole batch, the rows of this process."""
        first, every = self.part
        return [rows[first::every] for rows in drawn]


Loss = Callable[[nn.Module, Batch], Float[Tensor, " batch"]]


def denoising_score_matching(
    score: Score, process: Mapping[str, Process], clean: State, time: Float[Tensor, " batch"], noise: State
) -> Float[Tensor, " batch"]:
    """|| sigma score(alpha x_0 + sigma eps, t) + eps ||^2 per sample, averaged over all elements.

    The mean runs over the elements of all fields. DiG, arXiv 2306.05445, data loss (Vincent 2011 for the
    identity behind it); with sigma, not sigma^2, in front of the score. `noise` is eps, from `Process.noise`.
    Its minimum over scores is not 0, but reached at the true score only. For a preconditioned network of one field
    multiply by `unit_variance_weight`; for several fields take `unit_variance_residuals`.
    """
    return _mean_square(score_residuals(score, process, clean, time, noise))


def score_residuals(
    score: Score, process: Mapping[str, Process], clean: State, time: Float[Tensor, " batch"], noise: State
) -> State:
    """sigma (score - score of the kernel) at the noised state, field by field: `Process.residual`."""
    perturbed = {field: process[field].perturb(x, time, noise[field]) for field, x in clean.items()}
    slope = score(perturbed, time)
    return {field: process[field].residual(slope[field], time, noise[field]) for field in clean}


def unit_variance_residuals(
    score: Score, process: Mapping[str, Process], clean: State, time: Float[Tensor, " batch"], noise: State
) -> State:
    """F - F_target of every field of a preconditioned network: a mean square of 1 where the network returns 0.

    With residuals of each field, a loss can leave out what is padding before it takes the mean; `unit_variance_matching` is the
    mean over all.
    """
    residuals = score_residuals(score, process, clean, time, noise)
    weights = {field: process[field].unit_variance_weight(time).sqrt() for field in residuals}
    return {field: over_trailing(weights[field], part) * part for field, part in residuals.items()}


def unit_variance_matching(
    score: Score, process: Mapping[str, Process], clean: State, time: Float[Tensor, " batch"], noise: State
) -> Float[Tensor, " batch"]:
    """|| F - F_target ||^2 per sample, averaged over the elements of all fields, each with its own weight."""
    return _mean_square(unit_variance_residuals(score, process, clean, time, noise))


def _mean_square(residuals: State) -> Float[Tensor, " batch"]:
    parts = [part.flatten(start_dim=1) for part in residuals.values()]
    return torch.cat(parts, dim=1).square().mean(dim=1)


def noise_levels(
    count: int, process: Mapping[str, Process], log_mean: float, log_std: float, generator: torch.Generator
) -> Float[Tensor, " count"]:
    """Times whose noise-to-signal ratio tau is log-normal: ln tau ~ N(log_mean, log_std^2), truncated.

    Karras et al. 2022, table 1 (training; P_mean, P_std), in units of the data's standard deviation; of the
    first field for a product of processes. Between the process's minimal and maximal time, in the default
    dtype, on the generator's device. Raises ValueError if count < 1, log_std <= 0, or the range holds none of
    the distribution.
    """
    if count < 1 or log_std <= 0.0:
        raise ValueError(
            f"expected count >= 1 and log_std > 0; got {count} and {log_std}. Correct the settings."
        )
    field = leading(process)
    ends = torch.tensor([field.minimal_time, field.maximal_time], dtype=torch.float64)
    low, high = torch.special.ndtr((field.noise_to_signal(ends).log() - log_mean) / log_std).tolist()
    if high - low < 1e-6:
        raise ValueError(
            f"expected noise levels within the process; got log_mean {log_mean} and log_std {log_std}. "
            f"Choose log_mean between {_log_range(field)}."
        )
    drawn = torch.rand(count, generator=generator, dtype=torch.float64, device=generator.device)
    # Stratified, one level in each of `count` equally probable intervals: less noise in the mean of a batch.
    uniform = (torch.arange(count, dtype=torch.float64, device=generator.device) + drawn) / count
    tau = torch.exp(log_mean + log_std * torch.special.ndtri(low + (high - low) * uniform))
    time = field.time(tau).clamp(field.minimal_time, field.maximal_time)
    return time.to(torch.get_default_dtype())


def emphasis(
    process: Mapping[str, Process], time: Float[Tensor, " batch"], low: float, high: float
) -> Float[Tensor, " batch"]:
    """tau^2/(tau^2 + low^2) high^2/(tau^2 + high^2) (first field): 1 between low and high, less outside.

    What cannot be known of F_target has a variance near 1 at both ends, where tau is below the width of the stiffest
    vibrations or above the size of the molecule, and 0.2 between. Weights like the inverse of it keep the ends from drowning
    the middle, where populations are decided, in noise of the gradient (the reason for the learned weights of Karras et
    al. 2024, arXiv 2312.02696, eq. 21).
    """
    squared = leading(process).noise_to_signal(time) ** 2
    return squared / (squared + low**2) * high**2 / (squared + high**2)


def importance_sampling(
    weights: Float[Tensor, " frames"], exponent: float
) -> tuple[Float[Tensor, " frames"], Float[Tensor, " frames"]]:
    """Probabilities q ~ w^exponent by which frames are drawn, and the factors w/q of their losses.

    The mean of the loss over draws stays that over the weights. With an exponent of 1 frames are drawn by weight and all
    factors are 1; below 1 rare states are drawn more often, so that their share of the loss is known with less noise.
    """
    weights = weights / weights.sum()
    drawn = weights**exponent / (weights**exponent).sum()
    return drawn, torch.where(drawn > 0, weights / drawn, 0.0)


def _log_range(process: Process) -> str:
    """The range of ln tau of a process, for messages."""
    ends = torch.tensor([process.minimal_time, process.maximal_time], dtype=torch.float64)
    low, high = (math.log(tau) for tau in process.noise_to_signal(ends).tolist())
    return f"{low:.1f} and {high:.1f}"


def unit_variance_weight(
    process: Mapping[str, Process], time: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """`Process.unit_variance_weight` of the first field, 1 + tau^2 of a Euclidean one."""
    return leading(process).unit_variance_weight(time)
