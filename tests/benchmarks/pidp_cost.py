"""What a step of physics-informed training costs, in units of a denoising step of the same network and batch.

    python tests/benchmarks/pidp_cost.py [study]

Both with the gradient of the weights; the Fokker-Planck residual from second derivatives with one random probe, and with two
independent ones for an unbiased square; and from one pair of short steps of the reverse process, without derivatives. Printed as ratios measured in one run, and the largest memory of each step over that of a denoising step.
"""

import sys
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from network_cost import seconds

from dig_core.config import load_study, plain
from dig_core.diffusion.divergence import HutchinsonDivergence
from dig_core.diffusion.fokker_planck import (
    ReverseStep,
    fokker_planck_residual,
    product_of_estimates,
    reverse_step_residual,
)
from dig_core.diffusion.losses import denoising_score_matching
from dig_core.structure import MolecularGraph
from dig_core.systems.molecule import build
from dig_core.systems.molecule_model import FIELD, diffusion_process, network, score

BATCH = 32


def peak_bytes(step) -> int:
    """Largest sum of allocated minus freed memory during a call."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    held = largest = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            largest = max(largest, held)
    return largest


def main(study: str = "alanine_dipeptide") -> None:
    torch.set_num_threads(1)
    settings = plain(load_study(f"config/systems/{study}.yaml"))
    _, molecule = build(next(iter(settings["targets"].values())), settings["data"])
    torch.manual_seed(0)
    model, process = network(settings["model"]), diffusion_process(settings["process"])
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.01 * torch.randn_like(weights)
    graph = MolecularGraph.from_arrays(molecule, 1.6)
    own = process[FIELD]
    clean = own.projection(torch.as_tensor(molecule["positions_angstrom"]) / 1.6).repeat(BATCH, 1, 1)
    generator, time = torch.Generator().manual_seed(0), torch.linspace(0.2, 0.9, BATCH)
    noise = own.noise(clean, generator)
    state = {FIELD: own.perturb(clean, time, noise)}
    probe = HutchinsonDivergence(generator, probes=1)

    def slope():
        return score(model, process, model.conditions(graph))

    def denoising() -> None:
        loss = denoising_score_matching(slope(), process, {FIELD: clean}, time, {FIELD: noise})
        loss.mean().backward()

    def biased() -> None:
        residual = fokker_planck_residual(slope(), process, state, time, probe)
        product_of_estimates(residual, residual).mean().backward()

    def unbiased() -> None:
        first, second = (fokker_planck_residual(slope(), process, state, time, probe) for _ in range(2))
        product_of_estimates(first, second).mean().backward()

    def reverse_step() -> None:
        step = ReverseStep(generator)
        residual = reverse_step_residual(slope(), process, state, time, step)
        product_of_estimates(residual, residual).mean().backward()

    unit, memory = seconds(denoising, 3), peak_bytes(denoising)
    for name, step in (
        ("second derivatives, one probe", biased),
        ("second derivatives, two probes", unbiased),
        ("a reverse step, one pair", reverse_step),
    ):
        print(
            f"{name}: {seconds(step, 3) / unit:.1f} denoising steps, {peak_bytes(step) / memory:.1f} of their memory"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
