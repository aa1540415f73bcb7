"""What one evaluation of the score network costs, in units of its matrix products alone.

    python tests/benchmarks/network_cost.py [study]

The floor is the time that the same number of multiply-adds per atom takes in one large matrix product on this machine.
Printed as ratios measured in one run: they travel between machines, seconds do not.
"""

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from dig_core.config import load_study, plain
from dig_core.structure import MolecularGraph
from dig_core.systems.molecule import build, network

BATCHES = (10, 100, 500)


def seconds(work, repeats: int = 5) -> float:
    """The shortest of several CPU times."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def floor_seconds(parameters: int, rows: int) -> float:
    """Time of a product with as many multiply-adds: rows x 512 by 512 x (parameters / 512)."""
    left, right = torch.randn(rows, 512), torch.randn(512, max(1, parameters // 512))
    return seconds(lambda: left @ right)


def main(study: str = "alanine_dipeptide") -> None:
    torch.set_num_threads(1)
    settings = plain(load_study(f"config/systems/{study}.yaml"))
    target = next(iter(settings["targets"].values()))
    _, molecule = build(target, settings["data"])
    model = network(settings["model"])
    atoms, per_atom = len(molecule["atom_features"]), sum(w.numel() for w in model.blocks.parameters())
    print(f"{atoms} atoms, {per_atom} weights in the blocks; one thread, fp32")
    with torch.inference_mode():
        conditions = model.conditions(MolecularGraph.from_arrays(molecule, 1.6))
        for batch in BATCHES:
            positions, noise = torch.randn(batch, atoms, 3), torch.full((batch,), 0.3)
            cost = seconds(lambda p=positions, n=noise: model(p, n, conditions))
            ratio = cost / floor_seconds(per_atom, batch * atoms)
            print(
                f"batch {batch:4d}: {1e3 * cost / batch:.2f} CPU ms a structure, {ratio:.1f} times its floor"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
