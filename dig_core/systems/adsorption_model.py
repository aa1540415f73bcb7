"""The score network of an adsorbate on a slab: process, network and its score, and what sampling needs of a checkpoint.

A state has where the atoms of the adsorbate are in the plane, as fractional coordinates of the surface cell, and how high above the uppermost atom
of the slab: h = mean + spread y. Noise in the plane is in Angstrom and the same in all directions, that of the height in units of its spread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from ase import Atoms
from jaxtyping import Float, Int
from torch import Tensor, nn

from dig_core.diffusion.plane import WrappedPlane
from dig_core.diffusion.preconditioning import preconditioned
from dig_core.diffusion.processes import Process, Score, State, VarianceExploding
from dig_core.evaluation.adsorbed_molecules import whole
from dig_core.models.surface import Encoded, SurfaceMessages

PLANE, HEIGHT = "plane", "height"


def slab_of(arrays: Mapping[str, np.ndarray]) -> Atoms:
    """The slab of what `build` returns."""
    return Atoms(
        arrays["slab_numbers"], arrays["slab_angstrom"],
        cell=arrays["lattice_angstrom"], pbc=True, tags=arrays["layers"],
    )  # fmt: skip


@dataclass(frozen=True)
class Heights:
    """The mean and the spread of heights above the slab."""

    mean_angstrom: float
    spread_angstrom: float


@dataclass(frozen=True)
class Surface:
    """A slab, whose uppermost atom is at `top_angstrom`, and the atoms that are adsorbed on it."""

    positions: Float[Tensor, "slab 3"]
    lattice: Float[Tensor, "3 3"]
    atomic_numbers: Int[Tensor, " slab"]
    adsorbed: Int[Tensor, " atoms"]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Surface":
        """Of the arrays of a target, in the default type."""
        real = torch.get_default_dtype()
        return cls(
            torch.as_tensor(arrays["slab_angstrom"], dtype=real),
            torch.as_tensor(arrays["lattice_angstrom"], dtype=real),
            torch.as_tensor(arrays["slab_numbers"], dtype=torch.long),
            torch.as_tensor(arrays["adsorbed_numbers"], dtype=torch.long),
        )

    def to(self, device: str) -> "Surface":
        """On a device."""
        return Surface(*(getattr(self, each.name).to(device) for each in fields(self)))

    @property
    def fractional(self) -> Float[Tensor, "slab 3"]:
        """Of the slab."""
        return self.positions @ torch.linalg.inv(self.lattice)

    @property
    def top_angstrom(self) -> Float[Tensor, ""]:
        """Height of the uppermost atom of the slab."""
        return self.positions[:, 2].max()

    def process(self, settings: Mapping[str, Any]) -> dict[str, Process]:
        """In the cell of this surface; the noise in the plane names the level for both fields."""
        cell = self.lattice[:2, :2].double().tolist()
        lattice = (tuple(cell[0]), tuple(cell[1]))
        return {
            PLANE: WrappedPlane(**settings[PLANE], lattice=lattice),
            HEIGHT: VarianceExploding(**settings[HEIGHT]),
        }

    def state(self, positions: Float[Tensor, "batch atoms 3"], heights: Heights) -> State:
        """Of positions in Angstrom."""
        inverse = torch.linalg.inv(self.lattice[:2, :2].double())
        plane = torch.remainder(torch.remainder(positions[..., :2].double() @ inverse, 1.0), 1.0)
        above = positions[..., 2:] - self.top_angstrom
        scaled = (above - heights.mean_angstrom) / heights.spread_angstrom
        return {PLANE: plane.to(self.lattice), HEIGHT: scaled.to(self.lattice)}

    def positions_of(self, state: Mapping[str, Tensor], heights: Heights) -> Float[Tensor, "batch atoms 3"]:
        """In Angstrom, the inverse of `state`."""
        above = heights.mean_angstrom + heights.spread_angstrom * state[HEIGHT]
        return torch.cat([state[PLANE] @ self.lattice[:2, :2], above + self.top_angstrom], dim=-1)


def network(settings: Mapping[str, Any]) -> SurfaceMessages:
    """The untrained score network."""
    names = ("layers", "slab_layers", "width", "functions", "cutoff_angstrom")
    return SurfaceMessages(**{name: settings[name] for name in names})


def heights_of(settings: Mapping[str, Any]) -> Heights:
    """From the settings `model` of a study."""
    return Heights(settings["height_mean_angstrom"], settings["height_spread_angstrom"])


def encoded(model: SurfaceMessages, surface: Surface) -> Encoded:
    """What the network knows of the slab."""
    return model.encoded(surface.fractional[None], surface.lattice[None], surface.atomic_numbers[None])


def score(
    model: nn.Module, surface: Surface, process: Mapping[str, Process], heights: Heights, slab: Encoded
) -> Score:
    """The score of the adsorbate: the preconditioned network, shown what noise has left."""

    def raw(state: State, noise: Tensor) -> State:
        """Outputs of unit variance for both fields, at noise in the plane in Angstrom."""
        tau = process[HEIGHT].noise_to_signal(process[PLANE].time(noise))
        # Of unit variance at any noise: atoms stay near to the slab.
        seen = {**state, HEIGHT: state[HEIGHT] / torch.sqrt(1 + tau**2)[:, None, None]}
        own = surface.positions_of(seen, heights) @ torch.linalg.inv(surface.lattice)
        both = torch.cat([surface.fractional.expand(len(own), -1, -1), own], dim=1)
        levels = torch.stack([noise, tau], dim=-1).log()
        vectors = model(both, surface.lattice[None], levels, surface.adsorbed[None], slab)
        return {PLANE: vectors[..., :2], HEIGHT: vectors[..., 2:]}

    return preconditioned(raw, process)


@dataclass(frozen=True)
class AdsorptionModel:
    """What sampling needs of a checkpoint, for one surface and adsorbate."""

    score: Score
    process: dict[str, Process]
    surface: Surface
    heights: Heights
    shape: dict[str, tuple[int, ...]]  # of one structure, by field
    device: str

    def positions_angstrom(self, state: Mapping[str, Tensor]) -> Float[np.ndarray, "samples atoms 3"]:
        """Of the adsorbate, its first atom in the cell and the others near to it."""
        surface = self.surface.to("cpu")
        positions = surface.positions_of(state, self.heights).double().numpy()
        return whole(positions, surface.lattice[:2, :2].double().numpy())


def trained_model(
    checkpoint: Mapping[str, Any], arrays: Mapping[str, np.ndarray], device: str = "cpu"
) -> AdsorptionModel:
    """The score of any surface and adsorbate from a checkpoint; the slab is encoded once."""
    settings, surface = checkpoint["settings"], Surface.from_arrays(arrays).to(device)
    model = network(settings["model"])
    model.load_state_dict(checkpoint["weights"])
    model = model.to(device).eval().requires_grad_(False)
    process, heights = surface.process(settings["process"]), heights_of(settings["model"])
    own = score(model, surface, process, heights, encoded(model, surface))
    atoms = len(surface.adsorbed)
    return AdsorptionModel(own, process, surface, heights, {PLANE: (atoms, 2), HEIGHT: (atoms, 1)}, device)
