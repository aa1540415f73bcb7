"""A user's own trajectories of a protein: N, CA and C of the target's residues in every frame, from any format that mdtraj reads.

Residues are matched by number and letter, so that another protein, or another numbering, is told and not learned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
from jaxtyping import Float, Int

from dig_core.data.datasets import load, whole
from dig_core.data.protein_files import BACKBONE, letter
from dig_core.units import ANGSTROM_PER_NM

TIMED = {
    ".xtc",
    ".trr",
    ".h5",
    ".hdf5",
    ".nc",
    ".netcdf",
    ".ncdf",
    ".dtr",
    ".tng",
}  # of others mdtraj counts frames
CHUNK = 1000  # frames read at a time
SHOWN = 5  # residues in a message
ROUNDED = 0.1  # of the interval: more says nothing of it
# Bonds N-CA and CA-C, which are 1.46 and 1.52, and C-N of the next residue, 1.33, with what vibrations and bad models leave.
BONDS_ANGSTROM = (1.0, 2.2)


def replica_frames(
    files: Sequence[str], trajectory: Mapping[str, Any], protein: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Frames of one run as `backbone_frames.replica_corners` reads them.

    Args:
        files: of the run, in the order of time.
        protein: the descriptor, of which `sequence`, `residue_indices` and `chain_indices` are used.
        trajectory: `topology, selection, number_offset, first_frame, stride, frame_interval_ps` of the target.

    Returns:
        `positions_angstrom` [frames, 3 residues, 3], float32, as they lie in the files; `backbone_indices` [residues, 3] (N, CA, C);
        `time_ps` [frames], one interval for the first.

    Raises:
        ValueError: unreadable files, residues that do not fit, times that are not known or uneven, chains torn apart or frames that
            do not differ.
    """
    _expect_times(files, trajectory)
    times, corners = _used_frames(files, trajectory, _picked(trajectory, protein))
    told = f"{files[0]} to {files[-1]}" if len(files) > 1 else files[0]
    _expect_moving_chain(corners, protein, told)
    interval_ps = _interval_ps(times, files, trajectory)
    return {
        "positions_angstrom": corners.reshape(len(corners), -1, 3),
        "backbone_indices": np.arange(3 * corners.shape[1]).reshape(-1, 3),
        "time_ps": interval_ps * np.arange(1, len(corners) + 1),
    }


def first_corners(
    trajectory: Mapping[str, Any], protein: Mapping[str, np.ndarray]
) -> Float[np.ndarray, "residues 3 3"]:
    """N, CA and C of the residues in the first frame of the first run (Angstrom); raises as `replica_frames`."""
    picked, file = _picked(trajectory, protein), trajectory["replicas"][0][0]
    frame = load(mdtraj.load_frame, file, top=trajectory["topology"], index=0)
    return _corners(frame.atom_slice(picked.read), picked)[0]


def expect_residues(trajectory: Mapping[str, Any], protein: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless the topology has the residues of the protein; no frame is read."""
    corner_atoms(_topology(trajectory), trajectory, protein)


def corner_atoms(
    topology: mdtraj.Topology, trajectory: Mapping[str, Any], protein: Mapping[str, np.ndarray]
) -> Int[np.ndarray, "residues 3"]:
    """Indices of N, CA and C of the protein's residues, which are found by their numbers.

    Raises:
        ValueError: residues of these numbers are missing, or there several times, or are others, or lack such an atom.
    """
    found, path = _numbered(topology, trajectory), trajectory["topology"]
    wanted = dict(zip(protein["residue_indices"].tolist(), str(protein["sequence"]), strict=True))
    if missing := [f"{code}{number}" for number, code in wanted.items() if number not in found]:
        have = f"numbers {min(found)} to {max(found)}" if found else "no amino acids"
        raise ValueError(
            f"expected the {len(wanted)} residues of the target in {path}; got {have}, without {_some(missing)}."
            " Correct number_offset, selection, or the residues of the target"
        )
    codes = {number: letter(found[number].name) for number in wanted}
    if other := [f"{codes[n]}{n} for {code}{n}" for n, code in wanted.items() if codes[n] != code]:
        raise ValueError(
            f"expected the sequence of the target in {path}; got {_some(other)}. Correct number_offset, or use the topology of this protein"
        )
    return np.array([_corner_atoms(found[number], path) for number in wanted])


@dataclass(frozen=True)
class Picked:
    """Atoms that are read, in the order of the file, and N, CA and C of the residues that are kept.

    The backbones of all selected residues are read: a chain that the box has cut is put together along its bonds, also those of a loop that the
    target lacks.
    """

    read: Int[np.ndarray, " atoms"]
    rows: Int[np.ndarray, "residues 3"]


def _picked(trajectory: Mapping[str, Any], protein: Mapping[str, np.ndarray]) -> Picked:
    topology = _topology(trajectory)
    rows = corner_atoms(topology, trajectory, protein)
    backbones = [
        atom.index
        for residue in _numbered(topology, trajectory).values()
        for atom in residue.atoms
        if atom.name in BACKBONE
    ]
    return Picked(np.union1d(backbones, rows.ravel()), rows)


def _topology(trajectory: Mapping[str, Any]) -> mdtraj.Topology:
    path = trajectory["topology"]
    return load(lambda file, top: mdtraj.load_topology(file), path, top=path)


def _numbered(topology: mdtraj.Topology, trajectory: Mapping[str, Any]) -> dict[int, Any]:
    """Amino acids among the selected residues by their number."""
    chosen = topology.select(trajectory["selection"]) if trajectory["selection"] else range(topology.n_atoms)
    residues = {topology.atom(i).residue.index: topology.atom(i).residue for i in chosen}
    found: dict[int, Any] = {}
    for residue in (own for own in residues.values() if _is_amino_acid(own)):
        number = residue.resSeq + trajectory["number_offset"]
        if number in found:
            raise ValueError(
                f"expected one residue {number} in {trajectory['topology']}; got {found[number]} of chain {found[number].chain.index}"
                f" and {residue} of chain {residue.chain.index}. Select one, for instance by `selection: chainid {residue.chain.index}`"
            )
        found[number] = residue
    return found


def _is_amino_acid(residue: Any) -> bool:
    """One of the twenty by its name, or one that has their backbone."""
    return letter(residue.name) != "X" or set(BACKBONE) <= {atom.name for atom in residue.atoms}


def _corner_atoms(residue: Any, path: str) -> list[int]:
    atoms = {atom.name: atom.index for atom in residue.atoms}
    if missing := [name for name in BACKBONE if name not in atoms]:
        raise ValueError(
            f"expected N, CA and C in every residue of {path}; got {residue} without {', '.join(missing)}."
            " Use trajectories that hold the whole backbone"
        )
    return [atoms[name] for name in BACKBONE]


def _used_frames(
    files: Sequence[str], trajectory: Mapping[str, Any], picked: Picked
) -> tuple[np.ndarray, np.ndarray]:
    """Times in ps and corners of every `stride`-th frame from `first_frame` on, counted through all files."""
    seen, parts = 0, []
    for file in files:
        chosen = _first_used(seen, trajectory["first_frame"], trajectory["stride"]), trajectory["stride"]
        count, *part = load(_read, file, top=trajectory["topology"], picked=picked, chosen=chosen)
        seen, parts = seen + count, [*parts, part]
    times, corners = zip(*parts, strict=True)
    return np.concatenate(times), np.concatenate(corners)


def _read(file: str, top: str, picked: Picked, chosen: tuple[int, int]) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of frames of a file, and times and corners of the chosen ones: the first, and each `stride` after it."""
    mdtraj.load_frame(file, 0, top=top)  # which compares the numbers of atoms; a part of them is read unseen
    count, times, corners = 0, [np.zeros(0)], [np.zeros((0, *picked.rows.shape, 3), dtype=np.float32)]
    for chunk in mdtraj.iterload(file, top=top, atom_indices=picked.read, chunk=CHUNK):
        used = chunk[_first_used(count, *chosen) :: chosen[1]]
        count += len(chunk)
        if len(used):
            times.append(used.time)
            corners.append(_corners(used, picked))
    return count, np.concatenate(times), np.concatenate(corners)


def _first_used(begin: int, first: int, stride: int) -> int:
    """Place of the first used frame among those from `begin` on, where `first`, `first + stride`, ... are used."""
    return first - begin if begin < first else (first - begin) % stride


def _corners(frames: mdtraj.Trajectory, picked: Picked) -> Float[np.ndarray, "frames residues 3 3"]:
    """Positions in Angstrom, float32, of a trajectory of the atoms that are read."""
    return np.float32(ANGSTROM_PER_NM) * whole(frames).xyz[:, np.searchsorted(picked.read, picked.rows)]


def _expect_moving_chain(
    corners: Float[np.ndarray, "frames residues 3 3"], protein: Mapping[str, np.ndarray], told: str
) -> None:
    """Bonds have the lengths of bonds in Angstrom, in every frame, and the frames differ."""
    if len(corners) < 2 or not np.ptp(corners, axis=0).any():
        kind = "the same ones" if len(corners) > 1 else str(len(corners))
        raise ValueError(
            f"expected two different frames or more in {told}; got {kind}. Correct first_frame and stride, or use trajectories that move"
        )
    if bad := int((~np.isfinite(corners).all(axis=(1, 2, 3))).sum()):
        raise ValueError(
            f"expected finite positions; got NaN in {bad} of {len(corners)} frames of {told}. Remove them"
        )
    low, high = BONDS_ANGSTROM
    lengths = _bonds_angstrom(corners, protein)
    if bad := int(((lengths < low) | (lengths > high)).any(axis=1).sum()):
        raise ValueError(
            f"expected bonds of the backbone of {low} to {high} Angstrom in {told}; got {lengths.min():.2f} to {lengths.max():.2f}, in {bad} of"
            f" {len(lengths)} frames some outside. Use the topology of these files (order of atoms), and molecules that the box has not cut"
        )


def _bonds_angstrom(
    corners: Float[np.ndarray, "frames residues 3 3"], protein: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Lengths [frames, bonds] of N-CA and CA-C, and of C-N between residues that follow one another."""
    follows = (np.diff(protein["residue_indices"]) == 1) & (np.diff(protein["chain_indices"]) == 0)
    inside = np.diff(corners, axis=2).reshape(len(corners), -1, 3)
    between = (corners[:, 1:, 0] - corners[:, :-1, 2])[:, follows]
    return np.linalg.norm(np.concatenate([inside, between], axis=1), axis=-1)


def _expect_times(files: Sequence[str], trajectory: Mapping[str, Any]) -> None:
    """Before hours of reading: the interval is stated, or the files know it."""
    unknown = [file for file in files if Path(file).suffix.lower() not in TIMED]
    if unknown and trajectory["frame_interval_ps"] is None:
        raise ValueError(
            f"expected frame_interval_ps for {unknown[0]}, a format without times; got null. Write the time between two of its frames in ps"
        )


def _interval_ps(times: np.ndarray, files: Sequence[str], trajectory: Mapping[str, Any]) -> float:
    """Time between two used frames: as stated, or as the files say in steps that are equal but where one file follows another."""
    if trajectory["frame_interval_ps"]:
        return trajectory["frame_interval_ps"] * trajectory["stride"]
    steps = np.diff(times.astype(np.float64))
    interval = float(np.median(steps))
    rounding = 4 * np.finfo(np.float32).eps * np.abs(times).max()
    even = np.abs(steps - interval) <= max(1e-3 * abs(interval), rounding)
    if interval > 0 and rounding > ROUNDED * interval:
        raise ValueError(
            f"expected times that tell frames {interval:g} ps apart in {files[0]}; got times of up to {np.abs(times).max():g} ps in single precision."
            " Write frame_interval_ps, the time between two frames"
        )
    if interval <= 0 or (~even).sum() >= len(files):
        raise ValueError(
            f"expected times in equal steps in {files[0]}; got steps of {steps.min():g} to {steps.max():g} ps. Write frame_interval_ps, the time"
            " between two frames"
        )
    return float(steps[even].mean())  # the median alone has the rounding of one step


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
