"""Frames of proteins as the corners of their residues, N, CA and C: what rigid bodies are made from, small enough to be bundled."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dig_core.data.datasets import checked
from dig_core.files import load_arrays

ANGSTROM_PER_UNIT = 1e-3
WALKS = ("temperatures_K", "walkers", "rmsd_angstrom", "exchange_fraction")  # of parallel tempering
SIMULATED = {"positions_angstrom", "backbone_indices", "time_ps"}
Corners = Float[np.ndarray, "frames residues 3 3"]


def condensed(replica: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Corners of the residues of a simulated replica, each frame centred, as 16-bit integers of 0.001 Angstrom; and its walkers, if any.

    Raises:
        ValueError: a protein longer than 65 Angstrom, which these integers do not hold.
    """
    corners = replica["positions_angstrom"][:, replica["backbone_indices"]].astype(np.float64)
    centred = corners - corners.mean(axis=(1, 2), keepdims=True)
    rounded = np.rint(centred / ANGSTROM_PER_UNIT)
    if np.abs(rounded).max() > np.iinfo(np.int16).max:
        raise ValueError(
            "expected a protein of at most 65 Angstrom; got a longer one. Keep its simulation instead"
        )
    return {
        "corners_milliangstrom": rounded.astype(np.int16),
        "frame_interval_ps": np.array(replica["time_ps"][0]),
        **{name: replica[name] for name in WALKS if name in replica},
    }


def replica_corners(file: str | Path, residues: int) -> tuple[Corners, float]:
    """Corners in Angstrom of every frame of a replica, simulated or condensed, and the time between two frames in ps.

    Raises:
        ValueError: a damaged file, another number of residues, or NaN.
    """
    arrays = load_arrays(file)
    is_condensed = "corners_milliangstrom" in arrays
    needed = {"corners_milliangstrom", "frame_interval_ps"} if is_condensed else SIMULATED
    if missing := sorted(needed - set(arrays)):
        raise ValueError(
            f"expected frames of a protein in {file}; got no {', '.join(missing)}. Make the file again"
        )
    corners = corners_of(arrays)
    interval = arrays["frame_interval_ps"] if is_condensed else arrays["time_ps"][0]
    flat = corners.reshape(len(corners), -1, 3)
    checked({"positions_angstrom": flat, "weights": np.ones(len(flat))}, 3 * residues, [file])
    return corners, float(interval)


def corners_of(replica: Mapping[str, np.ndarray]) -> Corners:
    """Corners in Angstrom of every frame of a replica, simulated or condensed."""
    if "corners_milliangstrom" in replica:
        return replica["corners_milliangstrom"] * ANGSTROM_PER_UNIT
    return replica["positions_angstrom"][:, replica["backbone_indices"]]
