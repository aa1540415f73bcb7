"""The score network of crystals: process, network and its score, and what sampling needs of a checkpoint.

A state has the fractional coordinates of the atoms, and a symmetric matrix Y of the lattice: with L the symmetric lattice (rows are lattice
vectors, `dig_core.crystals.symmetric_lattice`) of n atoms, L = (n v)^(1/3) exp(s Y), where v is the usual volume per atom and s makes the
variance of the six numbers of Y about 1. Any Y is a lattice, and Y = 0 a cube.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import Process, Score, State, VarianceExploding
from dig_core.diffusion.torus import WrappedNormal
from dig_core.models.periodic import PeriodicMessages

FRACTIONAL, LATTICE = "fractional", "lattice"


def symmetric(matrices: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Projection onto symmetric matrices; of independent normal numbers, variances are 1 on the diagonal and 1/2 beside it."""
    return 0.5 * (matrices + matrices.mT)


def diffusion_process(settings: Mapping[str, Any]) -> dict[str, Process]:
    """Fractional coordinates, whose noise names the level for both, and the lattice."""
    return {
        FRACTIONAL: WrappedNormal(**settings[FRACTIONAL]),
        LATTICE: VarianceExploding(**settings[LATTICE], projection=symmetric),
    }


@dataclass(frozen=True)
class LatticeScale:
    """The v and s of L = (n v)^(1/3) exp(s Y)."""

    volume_per_atom_angstrom3: float
    spread: float

    def lattices(self, y: Float[Tensor, "*batch 3 3"], atoms: int) -> Float[Tensor, "*batch 3 3"]:
        """L in Angstrom."""
        return (atoms * self.volume_per_atom_angstrom3) ** (1 / 3) * torch.linalg.matrix_exp(self.spread * y)

    def scaled(self, lattices: Float[Tensor, "*batch 3 3"], atoms: int) -> Float[Tensor, "*batch 3 3"]:
        """Y of symmetric lattices in Angstrom."""
        lengths, axes = torch.linalg.eigh(lattices / (atoms * self.volume_per_atom_angstrom3) ** (1 / 3))
        return (axes * lengths.log()[..., None, :]) @ axes.mT / self.spread


def lattice_scale(settings: Mapping[str, Any]) -> LatticeScale:
    """From the settings `model` of a study."""
    return LatticeScale(settings["volume_per_atom_angstrom3"], settings["lattice_spread"])


def network(settings: Mapping[str, Any]) -> PeriodicMessages:
    """The untrained score network."""
    names = ("layers", "width", "functions", "cutoff_angstrom")
    return PeriodicMessages(**{name: settings[name] for name in names})


def shown(
    state: State, noise: Float[Tensor, " batch"], process: Mapping[str, Process], scale: LatticeScale
) -> tuple[Tensor, Tensor, Tensor]:
    """What a network sees of noised crystals: fractional coordinates, lattices in Angstrom, and ln of the noise of both fields [batch, 2]."""
    x, y = state[FRACTIONAL], state[LATTICE]
    tau = process[LATTICE].noise_to_signal(process[FRACTIONAL].time(noise))
    # Of unit variance at any noise: cells stay of this world.
    lattices = scale.lattices(y / torch.sqrt(1 + tau**2)[:, None, None], x.shape[1])
    return x, lattices, torch.stack([noise, tau], dim=-1).log()


def score(
    model: nn.Module,
    process: Mapping[str, Process],
    scale: LatticeScale,
    atomic_numbers: Int[Tensor, "#batch atoms"],
) -> Score:
    """The score of crystals with these atoms: the preconditioned network, shown the crystal that noise has left."""

    def raw(state: State, noise: Tensor) -> State:
        """Outputs of unit variance for both fields."""
        x, lattices, levels = shown(state, noise, process, scale)
        forces, stress = model(x, lattices, levels, atomic_numbers.expand(len(x), -1))
        # d/dx of fractional coordinates is L d/dr in space.
        pulled = forces @ lattices.mT / (x.shape[1] * scale.volume_per_atom_angstrom3) ** (1 / 3)
        return {FRACTIONAL: pulled, LATTICE: stress}

    return preconditioned(raw, process)


@dataclass(frozen=True)
class CarbonModel:
    """What sampling needs of a checkpoint, for one number of atoms."""

    score: Score
    process: dict[str, Process]
    scale: LatticeScale
    shape: dict[str, tuple[int, ...]]  # of one crystal, by field
    device: str

    def crystals(self, state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """Fractional coordinates in [0, 1) and symmetric lattices in Angstrom."""
        lattices = self.scale.lattices(state[LATTICE].double(), state[FRACTIONAL].shape[1])
        return {
            "fractional": torch.remainder(state[FRACTIONAL].double(), 1.0).numpy() % 1.0,
            "lattices_angstrom": lattices.numpy(),
        }


def trained_model(
    checkpoint: Mapping[str, Any], atomic_numbers: Int[np.ndarray, " atoms"], device: str = "cpu"
) -> CarbonModel:
    """The score of crystals with these atoms from a checkpoint."""
    settings = checkpoint["settings"]
    model = network(settings["model"])
    model.load_state_dict(checkpoint["weights"])
    model = model.to(device).eval().requires_grad_(False)
    process, scale = diffusion_process(settings["process"]), lattice_scale(settings["model"])
    atoms = torch.as_tensor(atomic_numbers, dtype=torch.long, device=device)[None]
    shape = {FRACTIONAL: (len(atomic_numbers), 3), LATTICE: (3, 3)}
    return CarbonModel(score(model, process, scale, atoms), process, scale, shape, device)
