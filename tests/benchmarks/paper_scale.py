"""Training and drawing at the paper's scale: 12 layers, width 768, 32 heads, with 100 and 300 atoms.

    python tests/benchmarks/paper_scale.py [atoms ...]

On a GPU the arithmetic of `model: {precision, compile}` side by side: steps and structures per second, largest memory. Without one the
same with a small network and few atoms, so that the script itself is tried. Molecules are random chains: time does not depend on
what the atoms are. A drawn structure takes 25 evaluations (the solver of the demo).
"""

import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))

from dig_core.diffusion.losses import Batch
from dig_core.optimizers import optimizers
from dig_core.runtime import device
from dig_core.sampling import Draw, draw
from dig_core.structure import MolecularGraph
from dig_core.systems.molecule_denoising import DenoisingLoss
from dig_core.systems.molecule_model import FIELD, accelerated, diffusion_process, network, score

PAPER = {"layers": 12, "blocks": 4, "width": 768, "heads": 32, "radial_features": 32, "head_width": 64}
SMALL = {"layers": 4, "blocks": 4, "width": 96, "heads": 8, "radial_features": 16, "head_width": 16}
PROCESS = {"kind": "variance_exploding", "sigma_min": 0.005, "sigma_max": 4.0}
LEVELS = {"noise_log_mean": -1.1, "noise_log_std": 1.5, "weight_low": 0.008, "weight_high": 2.0}
ARITHMETIC = (
    {"precision": "float32", "compile": False},
    {"precision": "bfloat16", "compile": False},
    {"precision": "bfloat16", "compile": True},
)
ATOMS_PER_STEP, ATOMS_PER_DRAW, FRAMES = 3200, 12800, 256


def chain(atoms: int) -> tuple[MolecularGraph, torch.Tensor]:
    """A random chain [1, atoms, 3] in units of its size, and its graph."""
    generator = torch.Generator().manual_seed(atoms)
    positions = torch.randn(atoms, 3, generator=generator).cumsum(0)
    positions = (positions - positions.mean(0)) / positions.std()
    distance, separation = (
        torch.cdist(positions, positions),
        (torch.arange(atoms)[:, None] - torch.arange(atoms)).abs(),
    )
    pairs = torch.stack([separation.clamp(max=5), (separation == 1).long()], dim=-1)
    bounds = torch.stack([0.9 * distance, 1.1 * distance], dim=-1)
    features = torch.zeros(1, atoms, len(network(SMALL).graph.atom), dtype=torch.long)
    mask = torch.ones(1, atoms, dtype=torch.bool)
    return MolecularGraph(features, pairs[None], bounds[None], mask), positions[None]


def wall_seconds(work, repeats: int) -> float:
    """Mean time of a call, after two that warm up."""
    for repeat in range(repeats + 2):
        if repeat == 2:
            started = now()
        work()
    return (now() - started) / repeats


def now() -> float:
    """The time when all work sent to the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def training_step(model: nn.Module, graph: MolecularGraph, frames: torch.Tensor, batch: int):
    """A call that makes one step of training on frames."""
    loss = DenoisingLoss(
        [frames], [torch.ones(len(frames)).to(frames)], [graph], diffusion_process(PROCESS), LEVELS
    )
    own, generator = optimizers(model, 1e-4, 0.0), torch.Generator(frames.device).manual_seed(0)

    def step() -> None:
        indices = torch.randint(len(frames), (batch,), generator=generator, device=frames.device)
        model.zero_grad(set_to_none=True)
        loss(model, Batch(indices, generator)).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in own:
            optimizer.step()

    return step


def drawing(model: nn.Module, graph: MolecularGraph, batch: int):
    """A call that draws a batch of structures."""
    process, where = diffusion_process(PROCESS), graph.mask.device.type
    with torch.no_grad():
        own = score(model, process, model.conditions(graph))
    request = Draw("sde_dpm_solver", 25, batch, batch, 1, {FIELD: (graph.mask.shape[1], 3)}, where)
    return lambda: draw(own, process, request)


def report(sizes: dict, arithmetic: dict, atoms: int) -> None:
    """Print one line of the table."""
    torch.manual_seed(0)
    model = accelerated(network(sizes).to(device()), arithmetic)
    graph, positions = chain(atoms)
    graph, frames = graph.to(device()), positions.repeat(FRAMES, 1, 1).to(device())
    batch, drawn = max(2, ATOMS_PER_STEP // atoms), max(2, ATOMS_PER_DRAW // atoms)
    name = arithmetic["precision"] + (" compiled" if arithmetic["compile"] else "")
    step = measured(training_step(model, graph, frames, batch), 10)
    torch.compiler.reset()  # training and drawing are jobs of their own
    draws = measured(drawing(model, graph, drawn), 2)
    print(
        f"{atoms:5d} | {name:17s} | {1 / step[0]:.2f} steps/s of {batch}, {batch / step[0]:.1f} structures/s, {step[1]}"
        f" | drawn {drawn / draws[0]:.2f} structures/s, {drawn} at a time, {draws[1]}",
        flush=True,
    )


def measured(work, repeats: int) -> tuple[float, str]:
    """Seconds of a call, and the largest memory of the GPU meanwhile."""
    if not torch.cuda.is_available():
        return wall_seconds(work, repeats), "-"
    torch.cuda.reset_peak_memory_stats()
    seconds = wall_seconds(work, repeats)
    return seconds, f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"


def main(*atoms: str) -> None:
    """Print a line for every size and arithmetic."""
    on_gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name(0) if on_gpu else "CPU"
    sizes = PAPER if on_gpu else SMALL
    weights = sum(values.numel() for values in network(sizes).parameters())
    print(f"{name}, torch {torch.__version__}, {weights / 1e6:.1f} million weights, {sizes}")
    for count in map(int, atoms or ("100", "300") if on_gpu else atoms or ("30",)):
        for arithmetic in ARITHMETIC if on_gpu else ARITHMETIC[:1]:
            report(sizes, arithmetic, count)


if __name__ == "__main__":
    main(*sys.argv[1:])
