"""What one evaluation of the score network of proteins costs, beside the same network written plainly.

    python tests/benchmarks/frames_cost.py [residues ...]

The paper's size (12 layers, width 768, pairs 256, 32 heads) with random weights, float32, one thread. Samples of one sequence share what is
computed from the sequence alone. The plain path (tests/models/frames_plain.py) keeps nothing, projects all pairs in every layer
and takes one structure at a time. CPU-seconds; the ratio of both is for one structure, measured in one run, and travels between
machines. Printed beside it is the largest difference of their outputs, over the largest output. On a machine with a GPU its times are printed after them.
"""

import itertools
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from dig_core.models.frames import FrameGraphormer
from dig_core.rotations import exponential
from dig_core.structure import ResidueGraph
from tests.benchmarks.paper_scale import wall_seconds
from tests.models.frames_plain import plain, plain_output

PAPER = {"layers": 12, "blocks": 4, "width": 768, "pair_width": 256, "heads": 32, "points": 4}
BATCHES, GPU_BATCHES = (1, 8), (1, 8, 32)


def seconds(work, repeats: int = 3) -> float:
    """The shortest of several CPU times."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def network() -> FrameGraphormer:
    """The paper's size with random weights; a new network would return 0."""
    torch.manual_seed(0)
    model = FrameGraphormer(**PAPER).eval().requires_grad_(False)
    for block in model.blocks:
        for layer in (block.head.local, block.head.strength):
            torch.nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    return model


def chain(residues: int, batch: int) -> tuple[ResidueGraph, tuple[torch.Tensor, ...]]:
    """A random sequence, and random chains: positions, rotations and both noises."""
    generator = torch.Generator().manual_seed(residues)
    positions = torch.randn(batch, residues, 3, generator=generator).cumsum(1)
    positions = (positions - positions.mean(1, keepdim=True)) / positions.std()
    rotations = exponential(2 * torch.randn(batch, residues, 3, generator=generator))
    arrays = {
        "residue_types": torch.randint(20, (residues,), generator=generator).numpy(),
        "residue_indices": np.arange(residues),
        "chain_indices": np.zeros(residues, dtype=int),
    }
    noise = torch.linspace(0.01, 1.0, batch)
    return ResidueGraph.from_arrays(arrays), (positions, rotations, noise, noise)


def relative_difference(found: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]) -> float:
    """Largest difference over the largest value, of the worse of two outputs."""
    pairs = zip(found, expected, strict=True)
    return max(((one - other).abs().max() / other.abs().max()).item() for one, other in pairs)


def report(model: FrameGraphormer, slow: FrameGraphormer, residues: int) -> None:
    """Print the lines of one length."""
    graph, structures = chain(residues, max(BATCHES))
    one = tuple(values[:1] for values in structures)
    expected = plain_output(slow, one, graph)
    per_structure = seconds(lambda: plain_output(slow, one, graph), 2)
    print(f"{residues:4d} |  1 | plain | {per_structure:7.2f} | {per_structure:7.2f} |   1.0 |", flush=True)
    started = time.process_time()
    conditions = model.conditions(graph)
    once = time.process_time() - started
    for batch in BATCHES:
        values = tuple(v[:batch] for v in structures)
        found = tuple(v[:1] for v in model(*values, conditions))
        cost = seconds(lambda v=values: model(*v, conditions))
        print(
            f"{residues:4d} | {batch:2d} | fast  | {cost:7.2f} | {cost / batch:7.2f} | {per_structure * batch / cost:5.1f} |"
            f" {relative_difference(found, expected):.0e}",
            flush=True,
        )
    print(f"{residues:4d} | once a sequence: {once:.2f}", flush=True)


def report_gpu(model: FrameGraphormer, residues: int, precision: torch.dtype) -> None:
    """Print milliseconds of an evaluation on a GPU, for several batches of one sequence."""
    for batch in GPU_BATCHES:
        graph, structures = chain(residues, batch)
        values = tuple(v.cuda() for v in structures)
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            conditions = model.conditions(graph.to("cuda"))
            cost = 1e3 * wall_seconds(lambda v=values, c=conditions: model(*v, c), 5)
        print(f"{residues:4d} | {batch:2d} | {precision} | {cost:7.2f} ms | {cost / batch:7.2f}", flush=True)


def main(*residues: str) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    model = network()
    weights = sum(values.numel() for values in model.parameters())
    print(f"torch {torch.__version__}, {weights / 1e6:.0f} million weights, {PAPER}")
    print("residues | batch | path | CPU-seconds an evaluation | a structure | times faster | difference")
    with torch.inference_mode():
        slow = plain(model)
        lengths = [int(length) for length in residues or ("100", "300")]
        for length in lengths:
            report(model, slow, length)
        if torch.cuda.is_available():
            print(
                f"{torch.cuda.get_device_name()}: residues | batch | precision | an evaluation | a structure"
            )
            for length, precision in itertools.product(lengths, (torch.float32, torch.bfloat16)):
                report_gpu(model.cuda(), length, precision)


if __name__ == "__main__":
    main(*sys.argv[1:])
