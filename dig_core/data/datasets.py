"""Frames as arrays, from the workflow's own simulations or from a user's trajectories."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np

from dig_core.files import atomic, load_arrays
from dig_core.units import ANGSTROM_PER_NM

FRAME_ARRAYS = ("positions_angstrom", "weights")


def simulated_frames(files: Sequence[str | Path], atoms: int) -> dict[str, np.ndarray]:
    """Join replicas that the workflow simulated; each replica keeps its own weight in proportion to its frames.

    Raises:
        ValueError: a damaged file, another number of atoms, or NaN.
    """
    replicas = [
        load_arrays(file, required=[*FRAME_ARRAYS, "potential_energy_kJ_per_mol", "time_ps"])
        for file in files
    ]
    counts = [len(replica["weights"]) for replica in replicas]
    frames = {
        "positions_angstrom": np.concatenate([replica["positions_angstrom"] for replica in replicas]),
        "weights": np.concatenate(
            [r["weights"] * n / sum(counts) for r, n in zip(replicas, counts, strict=True)]
        ),
        "potential_energy_kJ_per_mol": np.concatenate([r["potential_energy_kJ_per_mol"] for r in replicas]),
        "frame_interval_ps": np.array(replicas[0]["time_ps"][0]),
    }
    return checked(frames, atoms, files)


def trajectory_frames(
    files: Sequence[str | Path],
    weights: Sequence[str | Path],
    settings: Mapping[str, Any],
    atoms: int,
    held_out: bool,
) -> dict[str, np.ndarray]:
    """Read a user's trajectories with mdtraj; of a single file the last part is held out.

    Args:
        files: trajectories, one per replica; `weights`: a .npy file of frame weights for each, or none.
        settings: topology, selection, stride, first_frame, held_out_fraction, frame_interval_ps, files (all of the study).

    Raises:
        ValueError: unreadable or empty files, weights that do not fit, another number of atoms, NaN.
    """
    pieces = [_read(file, settings) for file in files]
    piece_weights = (
        [_frame_weights(w, settings, len(p)) for w, p in zip(weights, pieces, strict=True)]
        if weights
        else [np.ones(len(p)) for p in pieces]
    )
    if len(settings["files"]) == 1:
        border = round(len(pieces[0]) * (1 - settings["held_out_fraction"]))
        part = slice(border, None) if held_out else slice(0, border)
        pieces, piece_weights = [pieces[0][part]], [piece_weights[0][part]]
    positions, total = np.concatenate([p.xyz for p in pieces]), np.concatenate(piece_weights)
    frames = {
        "positions_angstrom": (positions * ANGSTROM_PER_NM).astype(np.float32),
        "weights": total / total.sum(),
        "frame_interval_ps": np.array(_interval(pieces[0], settings)),
    }
    return checked(frames, atoms, files)


def first_frame(file: str | Path, settings: Mapping[str, Any]) -> mdtraj.Trajectory:
    """The first frame of a user's trajectory, atoms selected."""
    return _select(
        whole(load(mdtraj.load_frame, file, index=0, top=settings["topology"])), settings["selection"]
    )


def checked(frames: dict[str, np.ndarray], atoms: int, files: Sequence[str | Path]) -> dict[str, np.ndarray]:
    """Frames that can be learned from, or one line that says what is wrong with them."""
    names = ", ".join(str(file) for file in files)
    positions = frames["positions_angstrom"]
    if positions.shape[1] != atoms:
        raise ValueError(
            f"expected {atoms} atoms per frame; got {positions.shape[1]} in {names}. Check topology and selection"
        )
    if len(positions) < 2:
        raise ValueError(
            f"expected at least two frames; got {len(positions)} in {names}. Give longer trajectories or a smaller stride"
        )
    if bad := int((~np.isfinite(positions).all(axis=(1, 2)) | ~np.isfinite(frames["weights"])).sum()):
        raise ValueError(
            f"expected finite positions and weights; got NaN in {bad} of {len(positions)} frames of {names}. Remove them"
        )
    return frames


def _read(file: str | Path, settings: Mapping[str, Any]) -> mdtraj.Trajectory:
    trajectory = load(mdtraj.load, file, top=settings["topology"])[
        settings["first_frame"] :: settings["stride"]
    ]
    return _select(whole(trajectory), settings["selection"])


def whole(trajectory: mdtraj.Trajectory) -> mdtraj.Trajectory:
    """Molecules that the periodic box has cut are put together again."""
    if trajectory.unitcell_lengths is not None and trajectory.topology.n_bonds:
        trajectory.make_molecules_whole(inplace=True)
    return trajectory


def load(reader: Callable, file: str | Path, **options: Any) -> Any:
    """What a reader of mdtraj makes of a trajectory, whose topology is `top` of the options.

    Raises:
        FileNotFoundError, ValueError: no such file, or one that the reader cannot read; in one line.
    """
    for needed in (file, options["top"]):
        if not Path(needed).is_file():
            raise FileNotFoundError(f"expected the file {needed}; found none. Correct its path in the study")
    try:
        return reader(str(file), **options)
    except Exception as error:  # each format has its own errors, from OSError to SystemError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"expected a trajectory that fits {options['top']}; got {file}, which mdtraj cannot read ({reason}). Check both files"
        ) from error


def _select(trajectory: mdtraj.Trajectory, selection: str | None) -> mdtraj.Trajectory:
    """The wanted atoms; by default the protein with its caps, or everything where there is no protein."""
    topology = trajectory.topology
    if selection is not None:
        atoms = topology.select(selection)
    elif len(topology.select("protein")):
        atoms = topology.select("protein or resname ACE NME NH2")
    else:
        atoms = np.arange(topology.n_atoms)
    if len(atoms) == 0:
        raise ValueError(f"expected a selection of atoms; got none from {selection!r}. Correct `selection:`")
    return trajectory.atom_slice(atoms)


def _frame_weights(file: str | Path, settings: Mapping[str, Any], frames: int) -> np.ndarray:
    try:
        weights = np.load(file, allow_pickle=False)[settings["first_frame"] :: settings["stride"]]
    except (EOFError, KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"expected a .npy file of weights; got {file}, which numpy cannot read ({error}). Check the file"
        ) from error
    if weights.shape != (frames,) or weights.min() < 0 or weights.sum() <= 0:
        raise ValueError(
            f"expected one weight >= 0 per frame, {frames}; got {weights.shape} in {file}. Check the file"
        )
    return weights


def _interval(trajectory: mdtraj.Trajectory, settings: Mapping[str, Any]) -> float:
    """Time between two used frames in ps; files without times say so with equal ones."""
    if settings["frame_interval_ps"]:
        return settings["frame_interval_ps"] * settings["stride"]
    return float(trajectory.timestep) if trajectory.n_frames > 1 and trajectory.timestep > 0 else 1.0


def read_frames(
    files: Sequence[str | Path],
    weights: Sequence[str | Path],
    settings: Mapping[str, Any],
    atoms: int,
    held_out: bool,
) -> dict[str, np.ndarray]:
    """Frames of one target from either source: `positions_angstrom`, `weights` (sum 1), `frame_interval_ps`, energies if known."""
    if settings["source"] == "simulate":
        return simulated_frames(files, atoms)
    return trajectory_frames(files, weights, settings, atoms, held_out)


def write_trajectory(
    path: str | Path,
    topology_file: str | Path,
    positions_angstrom: np.ndarray,
    time_ps: np.ndarray | None = None,
) -> None:
    """Write structures [frames, atoms, 3] as xtc for viewers; its 0.01 Angstrom are too coarse for energies."""
    topology = mdtraj.load_topology(str(topology_file))
    with atomic(path) as temporary:
        mdtraj.Trajectory(positions_angstrom / ANGSTROM_PER_NM, topology, time=time_ps).save_xtc(
            str(temporary)
        )
