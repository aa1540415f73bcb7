"""Reference samples of an energy in few dimensions by many Markov chains side by side."""

import numpy as np
from jaxtyping import Float

from dig_core.energies.calls import Energy


def langevin_monte_carlo(
    energy: Energy,
    start: Float[np.ndarray, "chains *shape"],
    step: float,
    counts: tuple[int, int, int],
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "stored chains *shape"], float]:
    """Metropolis-adjusted Langevin chains: exact up to their correlation (Roberts and Tweedie, Bernoulli 2, 341 (1996)).

    Proposals x + (step^2 / 2) F + step noise, with forces F in kT per length that are cut at 1 / step: a chain that
    starts high above the minima would be thrown too far, and never be allowed to move.

    Args:
        energy: in kT.
        step: length of the noise, in the unit of the positions.
        counts: steps that are left out at the start, steps after that, and the interval at which they are stored.

    Returns:
        Stored positions, and the share of accepted proposals.
    """
    discarded, kept, interval = counts
    x, (energies, pull) = start, energy(start)
    pull = np.clip(pull, -1 / step, 1 / step)
    stored, accepted = [], 0.0
    axes = tuple(range(1, start.ndim))
    for number in range(discarded + kept):
        noise = generator.standard_normal(x.shape)
        moved = x + 0.5 * step**2 * pull + step * noise
        new_energies, new_pull = energy(moved)
        new_pull = np.clip(new_pull, -1 / step, 1 / step)
        back = (x - moved - 0.5 * step**2 * new_pull) / step
        log_ratio = energies - new_energies + 0.5 * (noise**2 - back**2).sum(axis=axes)
        taken = np.log(generator.random(len(x))) < log_ratio
        accepted += taken.mean() / (discarded + kept)
        wide = taken.reshape(-1, *(1,) * len(axes))
        x, pull = np.where(wide, moved, x), np.where(wide, new_pull, pull)
        energies = np.where(taken, new_energies, energies)
        if number >= discarded and (number - discarded) % interval == interval - 1:
            stored.append(x)
    return np.stack(stored), float(accepted)
