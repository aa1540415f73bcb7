"""What the exact divergence of the score network costs, in units of one evaluation for each dimension.

    python tests/benchmarks/divergence_cost.py [study]

Ways to the same number: a Jacobian-vector product for each direction, the same for all directions at once (forward mode),
and vector-Jacobian products for all directions at once, as `dig_core.diffusion.divergence` does. Printed as ratios measured in
one run: they travel between machines, seconds do not.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from network_cost import seconds

from dig_core.config import load_study, plain
from dig_core.diffusion.divergence import Field, curvatures, subspace_basis
from dig_core.diffusion.processes import mean_free
from dig_core.structure import MolecularGraph
from dig_core.systems.molecule import build, network

BATCHES = (1, 4, 16)
ROWS = 1024


def one_by_one(field: Field, at: Tensor, directions: Tensor) -> Tensor:
    """v.J v with a Jacobian-vector product for each direction."""
    return torch.stack([(v * torch.func.jvp(field, (at,), (v,))[1]).sum(dim=1) for v in directions])


def forward_mode(field: Field, at: Tensor, directions: Tensor) -> Tensor:
    """v.J v with all tangents of a chunk at once."""

    def along(v: Tensor) -> Tensor:
        return (v * torch.func.jvp(field, (at,), (v,))[1]).sum(dim=1)

    return torch.func.vmap(along, chunk_size=max(1, ROWS // len(at)))(directions)


def backward_mode(field: Field, at: Tensor, directions: Tensor) -> Tensor:
    """What the library does."""
    return curvatures(field, at, directions, ROWS)[1]


def main(study: str = "alanine_dipeptide") -> None:
    torch.set_num_threads(1)
    settings = plain(load_study(f"config/systems/{study}.yaml"))
    _, molecule = build(next(iter(settings["targets"].values())), settings["data"])
    torch.manual_seed(0)
    model, atoms = network(settings["model"]).requires_grad_(False), len(molecule["atom_features"])
    for weights in model.parameters():
        weights += 0.01 * torch.randn_like(weights)
    conditions = model.conditions(MolecularGraph.from_arrays(molecule, 1.6))
    basis = subspace_basis(
        lambda flat: mean_free(flat.unflatten(1, (-1, 3))).flatten(1), torch.zeros(1, 3 * atoms)
    )
    print(f"{atoms} atoms, {len(basis)} dimensions; one thread, fp32. In evaluations per dimension:")
    for batch in BATCHES:
        at = torch.as_tensor(molecule["positions_angstrom"]).flatten() / 1.6 + 0.3 * torch.randn(
            batch, 3 * atoms
        )
        noise, directions = torch.full((batch,), 0.3), basis[:, None].expand(-1, batch, -1).contiguous()

        def field(flat: Tensor, noise: Tensor = noise) -> Tensor:
            return model(flat.unflatten(1, (-1, 3)), noise, conditions).flatten(1)

        unit = len(basis) * seconds(lambda f=field, a=at: f(a))
        ways = {
            way.__name__: seconds(lambda w=way, f=field, a=at, d=directions: w(f, a, d), 2) / unit
            for way in (one_by_one, forward_mode, backward_mode)
        }
        told = ", ".join(f"{name} {cost:.2f}" for name, cost in ways.items())
        gain = ways["one_by_one"] / ways["backward_mode"]
        print(f"batch {batch:3d}: {told}; {gain:.1f} times cheaper than one by one")


if __name__ == "__main__":
    main(*sys.argv[1:])
