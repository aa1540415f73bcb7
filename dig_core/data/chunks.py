"""Simulations in chunks that survive an interruption: a file for each finished chunk, with the point from which the next one starts."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm

from dig_core.files import load_arrays, save_arrays
from dig_core.runtime import fingerprint, progress, stoppable

Arrays = dict[str, np.ndarray]
Chunk = Callable[[int], Arrays]  # runs the chunk of this number


@dataclass(frozen=True)
class Chunks:
    """The files of one run; chunks of another one, whose `mark` differs, are not taken."""

    folder: Path
    total: int
    mark: str

    def run(self, start: Callable[[Arrays], Chunk], label: str) -> None:
        """Run what is missing, one chunk after another; whole ones are taken as they stand.

        Args:
            start: called with the arrays of the last whole chunk (none: at the beginning), and only where something is missing.
            label: of the progress that is shown.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        done = self._finished()
        if done == self.total:
            return
        chunk = start(self.arrays(done - 1) if done else {})
        # A request to end waits for the chunk: keep chunks shorter than the warning that a cluster gives.
        for index in stoppable(progress(range(done, self.total), label)):
            started = time.process_time()
            arrays = chunk(index)
            seconds = time.process_time() - started
            save_arrays(self._file(index), {}, fingerprint=np.array(self.mark), cpu_seconds=seconds, **arrays)

    def arrays(self, index: int) -> Arrays:
        """What a finished chunk holds, with the `cpu_seconds` that it took."""
        return load_arrays(self._file(index))

    def _finished(self) -> int:
        """How many chunks from the first on are whole and of this run; whatever stands behind a broken one is run again."""
        return next((i for i in range(self.total) if not self._usable(i)), self.total)

    def _usable(self, index: int) -> bool:
        try:
            return str(load_arrays(self._file(index), required=["fingerprint"])["fingerprint"]) == self.mark
        except (FileNotFoundError, ValueError):  # absent, or cut off by a full disk: run this chunk again
            return False

    def _file(self, index: int) -> Path:
        return self.folder / f"chunk_{index:05d}.npz"


def chunks_of(
    folder: Path, total: int, system: openmm.System, positions: np.ndarray, settings: object
) -> Chunks:
    """The chunks of a run of this system from these positions (Angstrom [atoms, 3]); `settings` are told apart by their text."""
    start = np.asarray(positions, dtype=np.float32).tobytes()
    return Chunks(folder, total, fingerprint(openmm.XmlSerializer.serialize(system), repr(settings), start))


def restart_point(context: openmm.Context) -> np.ndarray:
    """Positions, velocities and random numbers of a context, for `loadCheckpoint`; bytes [length]."""
    return np.frombuffer(context.createCheckpoint(), dtype=np.uint8)


def expect_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError in one line where coordinates or energies became NaN."""
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(
            "expected finite energies; got NaN: the simulation blew up. Use a smaller `timestep_fs`, or check the start structure"
        )
