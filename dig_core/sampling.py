"""Drawing structures from a score: in batches that fit into memory, one random stream per structure.

Structure i depends on the seed and on i alone. Batches of other sizes change the order of floating-point sums, hence
structures to rounding; with the same borders they agree bit by bit.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dig_core.diffusion.processes import Process, Score, State
from dig_core.diffusion.samplers import SAMPLERS, Sampler, predictor_corrector, sampling_times
from dig_core.files import load_arrays, save_arrays, sha256
from dig_core.runtime import fingerprint, progress, stoppable
from dig_core.settings.sampling import CORRECTORS, score_evaluations

# How many structures are drawn at most for one that passes the filter.
MOST_DRAWS_PER_VALID = 10


@dataclass(frozen=True)
class Draw:
    """Which solver, how many structures, in which batches; `shape` is that of one structure of each field."""

    kind: str
    steps: int
    samples: int
    batch_size: int
    seed: int
    shape: Mapping[str, tuple[int, ...]]
    correctors: int = CORRECTORS  # of the solver that has some
    device: str = "cpu"
    part: tuple[int, int] = (0, 1)  # which of so many shards; `indices` are its structures

    @property
    def indices(self) -> range:
        """The structures of this shard: whole batches, as those of the whole, so that its bits are those of the whole."""
        number, shards = self.part
        batches = -(-self.samples // self.batch_size)
        first, last = (batches * k // shards * self.batch_size for k in (number, number + 1))
        return range(first, min(last, self.samples))

    @property
    def solver(self) -> Sampler:
        """The solver, with its settings."""
        found = SAMPLERS[self.kind]
        return partial(found, correctors=self.correctors) if found is predictor_corrector else found

    def __post_init__(self) -> None:
        if min(self.samples, self.batch_size) < 1:
            raise ValueError(
                f"expected at least one structure and a batch of one; got {self.samples} and {self.batch_size}. Correct `sampler:`"
            )
        if self.kind not in SAMPLERS:
            raise ValueError(
                f"expected a solver among {', '.join(SAMPLERS)}; got {self.kind!r}. Correct `sampler.kind`"
            )


@dataclass(frozen=True)
class Kept:
    """Finished batches in a work folder, a file each, by the index of their first structure; those of another `fingerprint` are not used."""

    folder: Path
    fingerprint: str

    def load(self, first: int) -> State | None:
        """The batch that begins with a structure; None where there is none, or a damaged one."""
        arrays = self._arrays(self._file(first))
        return arrays and {
            name.removeprefix("state."): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith("state.")
        }

    def save(self, first: int, state: State, cpu_seconds: float) -> None:
        """Write a batch, whole or not at all."""
        arrays = {f"state.{field}": values.numpy() for field, values in state.items()}
        mark = np.array(self.fingerprint)
        save_arrays(self._file(first), {}, fingerprint=mark, cpu_seconds=cpu_seconds, **arrays)

    def cpu_seconds(self) -> float:
        """What the batches took that are there."""
        found = [self._arrays(path) for path in self.folder.glob("batch_*.npz")]
        return sum((float(arrays["cpu_seconds"]) for arrays in found if arrays), 0.0)

    def _file(self, first: int) -> Path:
        return self.folder / f"batch_{first:08d}.npz"

    def _arrays(self, path: Path) -> dict[str, np.ndarray] | None:
        try:
            arrays = load_arrays(path, required=["fingerprint", "cpu_seconds"])
        except (FileNotFoundError, ValueError):  # absent, or cut off by a full disk: draw this batch again
            return None
        return arrays if str(arrays["fingerprint"]) == self.fingerprint else None


def kept_batches(folder: Path, settings: Mapping[str, Any], inputs: Iterable[str | Path]) -> Kept:
    """The work folder of a drawing that depends on these settings and files."""
    return Kept(folder, fingerprint(json.dumps(dict(settings), sort_keys=True), *map(sha256, inputs)))


def draw(
    score: Score, process: Mapping[str, Process], settings: Draw, kept: Kept | None = None
) -> dict[str, Tensor]:
    """Structures 0 ... samples-1 (or those of a shard) of every field, on the CPU; batches in `kept` are not drawn again."""
    return _joined(list(_batches(score, process, settings, settings.indices, kept)))


def draw_until_valid(
    score: Score,
    process: Mapping[str, Process],
    settings: Draw,
    valid: Callable[[State], Bool[np.ndarray, " batch"]],
    kept: Kept | None = None,
) -> tuple[dict[str, Tensor], Bool[np.ndarray, " drawn"]]:
    """Draw on until `samples` structures are valid.

    Returns:
        All structures drawn, in order, and which of them are valid: exactly `samples`, the last structure among them.

    Raises:
        ValueError: fewer than one in ten structures is valid.
    """
    states: list[State] = []
    flags = np.zeros(0, dtype=bool)
    indices = range(MOST_DRAWS_PER_VALID * settings.samples)
    for state in _batches(score, process, settings, indices, kept):
        states.append(state)
        flags = np.concatenate([flags, valid(state)])
        if flags.sum() >= settings.samples:
            last = int(np.flatnonzero(flags)[settings.samples - 1]) + 1
            return {field: values[:last] for field, values in _joined(states).items()}, flags[:last]
    raise ValueError(
        f"expected {settings.samples} valid structures; got {flags.sum()} of {len(flags)} drawn. "
        "Train longer, or write `until_valid: false` and look at the counts"
    )


def generators(seed: int, indices: range, device: str = "cpu") -> list[torch.Generator]:
    """One generator per structure. torch keeps 32 bits of a seed: consecutive numbers from a scrambled start never collide."""
    first = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return [torch.Generator(device).manual_seed((first + index) % 2**32) for index in indices]


def _batches(
    score: Score, process: Mapping[str, Process], settings: Draw, indices: range, kept: Kept | None
) -> Iterator[State]:
    """Yield batch after batch; where they are kept, a request to end is answered between two of them."""
    batches = _halved_batches(score, process, settings, indices, kept)
    return stoppable(batches) if kept else batches


def _halved_batches(
    score: Score, process: Mapping[str, Process], settings: Draw, indices: range, kept: Kept | None
) -> Iterator[State]:
    """Yield batch after batch; where memory runs out the batch is halved from there on, never below one."""
    size, first = settings.batch_size, 0
    bar = progress(range(len(indices)), f"{settings.kind} {settings.steps}: structures", len(indices))
    while first < len(indices):
        try:
            state = _kept_batch(score, process, settings, indices[first : first + size], kept)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if size == 1:
                raise MemoryError(
                    "expected memory for one structure; got less. Use a smaller model or a larger machine"
                ) from error
            size //= 2
            print(f"memory ran out: batches of {size} structures from now on", flush=True)
            continue
        yield state
        count = len(next(iter(state.values())))
        first += count
        for _ in range(count):
            next(bar, None)


def _kept_batch(
    score: Score, process: Mapping[str, Process], settings: Draw, indices: range, kept: Kept | None
) -> State:
    """A batch from the work folder, or one that is drawn and put there."""
    state = kept.load(indices.start) if kept else None
    if state is None:
        started = time.process_time()
        state = _batch(score, process, settings, indices)
        if kept:
            kept.save(indices.start, state, time.process_time() - started)
    return state


def _batch(score: Score, process: Mapping[str, Process], settings: Draw, indices: range) -> State:
    streams = generators(settings.seed, indices)
    start = {
        field: own.prior(torch.zeros(len(indices), *settings.shape[field], device=settings.device), streams)
        for field, own in process.items()
    }
    times = sampling_times(process, settings.steps)
    with torch.inference_mode():
        state = settings.solver(score, process, start, times, streams)
    if bad := sum(int((~torch.isfinite(values)).any()) for values in state.values()):
        raise ValueError(
            f"expected finite structures; got NaN in {bad} field(s). The model has diverged: train again with a lower `learning_rate`"
        )
    return {field: values.cpu() for field, values in state.items()}


def _is_out_of_memory(error: Exception) -> bool:
    """CUDA has a type of its own; the CPU allocator says it in a RuntimeError."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "allocate memory" in str(error)


def _joined(states: list[State]) -> dict[str, Float[Tensor, "samples ..."]]:
    return {field: torch.cat([state[field] for state in states]) for field in states[0]}


def draw_molecule(
    system: ModuleType,
    model: Any,
    molecule: Mapping[str, np.ndarray],
    settings: Mapping[str, Any],
    kept: Kept | None = None,
) -> dict[str, np.ndarray]:
    """Structures of one molecule with the verdict of the physical filter, as the settings `sampler` of a study ask.

    Returns:
        `positions_angstrom` [drawn, atoms, 3], `valid` [drawn], `seconds_sample` (CPU, with that of the batches in `kept`).
    """
    started = time.process_time() - (kept.cpu_seconds() if kept else 0.0)
    request = asked(model, {key: value for key, value in settings.items() if key != "until_valid"})

    def checked(state: State) -> Any:
        """The verdict of the physical filter on drawn structures."""
        return system.physical_filter(model.positions_angstrom(state), molecule)

    if settings["until_valid"]:
        state, _ = draw_until_valid(model.score, model.process, request, lambda new: checked(new).valid, kept)
    else:
        state = draw(model.score, model.process, request, kept)
    verdict, seconds = checked(state), time.process_time() - started
    counts = ", ".join(f"{name} {count}" for name, count in verdict.counts().items())
    print(f"of {len(verdict.valid)} structures pass: {counts}; {seconds:.0f} CPU seconds", flush=True)
    return {
        "positions_angstrom": model.positions_angstrom(state),
        "valid": verdict.valid,
        "seconds_sample": np.array(seconds),
    }


def draw_crystals(
    model: Any, atomic_numbers: np.ndarray, settings: Mapping[str, Any], kept: Kept
) -> dict[str, np.ndarray]:
    """Crystals of these atoms, as the settings `sampler` of a study ask.

    Returns:
        The arrays of `dig_core.crystals.Crystals`, and `seconds_sample` (CPU, with that of the batches in `kept`).
    """
    started = time.process_time() - kept.cpu_seconds()
    crystals = model.crystals(draw(model.score, model.process, asked(model, settings), kept))
    count, seconds = len(crystals["lattices_angstrom"]), time.process_time() - started
    print(
        f"{count} crystals of {len(atomic_numbers)} atoms; {count / seconds:.2f} in a CPU second", flush=True
    )
    return {
        "counts": np.full(count, len(atomic_numbers)),
        "fractional": crystals["fractional"].reshape(-1, 3),
        "atomic_numbers": np.tile(atomic_numbers, count),
        "lattices_angstrom": crystals["lattices_angstrom"],
        "seconds_sample": np.array(seconds),
    }


def draw_adsorbates(model: Any, settings: Mapping[str, Any], kept: Kept) -> dict[str, np.ndarray]:
    """Adsorbates on a slab, as the settings `sampler` of a study ask.

    Returns:
        `positions_angstrom` [samples, atoms, 3], and `seconds_sample` (CPU, with that of the batches in `kept`).
    """
    started = time.process_time() - kept.cpu_seconds()
    positions = model.positions_angstrom(draw(model.score, model.process, asked(model, settings), kept))
    seconds = time.process_time() - started
    print(f"{len(positions)} structures; {len(positions) / seconds:.1f} in a CPU second", flush=True)
    return {"positions_angstrom": positions, "seconds_sample": np.array(seconds)}


def gathered(shards: Sequence[Mapping[str, np.ndarray]], samples: int) -> dict[str, np.ndarray]:
    """The samples of a target from those of its shards, in order; seconds are added.

    Raises:
        ValueError: shards are of other settings: together they do not hold so many samples.
    """
    names = ("positions_angstrom", "valid")
    joined = {name: np.concatenate([shard[name] for shard in shards]) for name in names}
    if len(joined["valid"]) != samples:
        raise ValueError(
            f"expected {samples} samples in {len(shards)} shards; got {len(joined['valid'])}. Delete the shards, and draw them again"
        )
    return joined | {"seconds_sample": sum(shard["seconds_sample"] for shard in shards)}


def compare(
    model: Any, settings: Mapping[str, Any], comparison: Mapping[str, Any], energy: Callable | None
) -> dict[str, np.ndarray]:
    """Structures from several solvers and numbers of steps, with energies (kJ/mol) where there is an energy function."""
    arrays = {}
    for kind, numbers in comparison["solvers"].items():
        for steps in numbers:
            started = time.process_time()
            request = asked(
                model, {"kind": kind, "steps": steps, "samples": comparison["samples"], **settings}
            )
            positions = model.positions_angstrom(draw(model.score, model.process, request))
            name = f"{kind}_{steps}"
            arrays[f"{name}.positions_angstrom"] = positions
            arrays[f"{name}.seconds"] = np.array(time.process_time() - started)
            arrays[f"{name}.evaluations"] = np.array(score_evaluations(kind, steps))
            if energy is not None:
                arrays[f"{name}.potential_energy_kJ_per_mol"] = energy(positions)[0]
    return arrays


def asked(model: Any, settings: Mapping[str, Any]) -> Draw:
    """What to draw from a model, as the settings `sampler` ask."""
    return Draw(shape=model.shape, device=model.device, **settings)
