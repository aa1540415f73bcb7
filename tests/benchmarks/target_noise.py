"""How much noise forces take off the targets of denoising: what is left of their mean square beside a trained network.

    python tests/benchmarks/target_noise.py [results/alanine_dipeptide/ala]

Runs on a finished study (make demo): its network, the held-out frames, and its force field. Half of the frames fit the factors of the
springs, or the one number of each noise, and the other half tells what is left: the error of the network, which is the same in
all columns, and the noise of the targets. Half a minute.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dig_core.checkpoints import load_checkpoint
from dig_core.config import load_study
from dig_core.diffusion.control_variate import Springs, SpringVariate
from dig_core.diffusion.processes import mean_free
from dig_core.energies.openmm import frame_forces
from dig_core.evaluation.statistics import draw_by_weight
from dig_core.files import load_arrays
from dig_core.systems import molecule
from dig_core.systems.molecule_model import FIELD
from dig_core.units import thermal_energy_kj_per_mol

NOISE_TO_SIGNAL = (0.008, 0.02, 0.05, 0.1, 0.2, 0.4)
FRAMES, FITS, RATE = 1024, 120, 0.02


def material(folder: Path):
    """Network, frames [frames, atoms, 3], forces over kT and springs of a finished target, in units of the data."""
    study = load_study(f"config/systems/{folder.parent.name}.yaml")
    arrays, reference = load_arrays(folder / "molecule.npz"), load_arrays(folder / "reference.npz")
    checkpoint = load_checkpoint(folder.parent / "model/checkpoint.pt", "molecule")
    model, scale = molecule.trained_model(checkpoint, arrays), checkpoint["scale_angstrom"]
    chosen = draw_by_weight(reference["weights"], FRAMES, np.random.default_rng(1))
    positions = reference["positions_angstrom"][chosen]
    energy = molecule.energies(folder / "topology.pdb", study.data.force_field)
    forces = frame_forces(energy, positions)["forces_kJ_per_mol_angstrom"]
    kT = thermal_energy_kj_per_mol(study.temperature_K)
    frames = mean_free(torch.as_tensor(positions)) / scale
    springs = Springs.of(frames, torch.as_tensor(arrays["pair_features"][..., 0], dtype=torch.long))
    return model, frames, torch.as_tensor(forces * (scale / kT)), springs


def noised(
    model, frames: Tensor, forces: Tensor, noise_to_signal: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Error of the network against the noise, structures as denoised, the gradient g, and tau."""
    own, tau = model.process[FIELD], torch.full((len(frames),), noise_to_signal)
    noise, time = own.noise(frames, torch.Generator().manual_seed(1)), own.time(tau)
    x = own.perturb(frames, time, noise)
    with torch.inference_mode():
        slope = model.score({FIELD: x}, time)[FIELD].clone()
    return (
        noise_to_signal * slope + noise,
        x + noise_to_signal**2 * slope,
        forces + noise / noise_to_signal,
        tau,
    )


def fitted(points: list[tuple[Tensor, ...]], springs: Springs) -> SpringVariate:
    """The variate whose factors leave least, of all noise levels together."""
    variate = SpringVariate(0.005, 4.0)
    optimizer = torch.optim.Adam(variate.parameters(), lr=RATE)
    for step in range(FITS):
        error, denoised, gradient, tau = points[step % len(points)]
        left = (error - variate(springs, denoised, gradient, tau)).square().mean()
        optimizer.zero_grad()
        left.backward()
        optimizer.step()
    return variate.requires_grad_(False)


def left(point: tuple[Tensor, ...], variate: SpringVariate, springs: Springs, number: float) -> list[float]:
    """Mean square of plain denoising, with the best number, with springs."""
    error, denoised, gradient, tau = point
    rests = (error, error - number * gradient, error - variate(springs, denoised, gradient, tau))
    return [rest.square().mean().item() for rest in rests]


def main(folder: str = "results/alanine_dipeptide/ala") -> None:
    """Print a line per noise level."""
    torch.set_num_threads(1)
    model, frames, forces, springs = material(Path(folder))
    half = FRAMES // 2
    fits, tests = (
        [noised(model, frames[part], forces[part], tau) for tau in NOISE_TO_SIGNAL]
        for part in (slice(half), slice(half, None))
    )
    variate = fitted(fits, springs)
    print("noise / signal   denoising   one number   springs   (mean square of what is left)")
    for tau, fit, test in zip(NOISE_TO_SIGNAL, fits, tests, strict=True):
        number = (fit[0] * fit[2]).sum() / fit[2].square().sum()
        print(
            "{:14.3f}   {:9.3f}   {:10.3f}   {:7.3f}".format(
                tau, *left(test, variate, springs, number.item())
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
