"""Numbers for ensembles of proteins: how near a known structure, how compact, which contacts, which secondary structure.

Frames are positions of CA or of backbones in Angstrom; see `backbone_atoms` for the order of atoms in a backbone. A frame that is not
finite has NaN for a number of its own, and is in no state and no contact.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.distance import pdist, squareform

from dig_core.evaluation.backbone_atoms import ATOMS, MISSING, Residues, atom_table, sequence_neighbours
from dig_core.evaluation.superposition import ca_rmsd, tm_score
from dig_core.units import ANGSTROM_PER_NM

__all__ = [
    "CONTACT_CUTOFF_ANGSTROM", "SECONDARY_STRUCTURE", "Reached", "ca_rmsd", "contact_difference", "contact_map", "radius_of_gyration_angstrom", "reached",
    "secondary_structure", "tm_score", "within",
]  # fmt: skip

SECONDARY_STRUCTURE = ("helix", "strand", "coil")
CONTACT_CUTOFF_ANGSTROM = 8.0
Alphas = Float[np.ndarray, "frames residues 3"]
Backbones = Float[np.ndarray, "frames atoms 3"]
Known = Float[np.ndarray, "known_residues 3"]


@dataclass(frozen=True)
class Reached:
    """How well samples reach a known structure.

    `within_fraction` of them are within the threshold, the nearest is at `best_rmsd_angstrom` (infinite: none is finite). `first_sample` counts from 1: so many samples
    it took in their order (None: never). `expected_samples` is 1 / `within_fraction`, the mean of a geometric distribution.
    """

    within_fraction: float
    best_rmsd_angstrom: float
    first_sample: int | None
    expected_samples: float


def reached(rmsd_angstrom: Float[np.ndarray, "samples"], threshold_angstrom: float) -> Reached:
    """How well samples reach a structure from which they are `rmsd_angstrom` away; NaN is away from everything."""
    if not len(rmsd_angstrom):
        raise ValueError("expected at least one sample; got none. Check the step that should have made them.")
    hits = np.flatnonzero(rmsd_angstrom <= threshold_angstrom)
    share = len(hits) / len(rmsd_angstrom)
    return Reached(
        within_fraction=share,
        best_rmsd_angstrom=float(np.where(np.isnan(rmsd_angstrom), np.inf, rmsd_angstrom).min()),
        first_sample=int(hits[0]) + 1 if len(hits) else None,
        expected_samples=1 / share if len(hits) else np.inf,
    )


def within(frames: Alphas, reference: Known, threshold_angstrom: float) -> float:
    """Share of frames within an RMSD of CA atoms, after superposition, of a known structure."""
    return reached(ca_rmsd(frames, reference), threshold_angstrom).within_fraction


def radius_of_gyration_angstrom(
    frames: Float[np.ndarray, "frames atoms 3"], masses: Float[np.ndarray, "atoms"] | None = None
) -> Float[np.ndarray, "frames"]:
    """sqrt(sum m |x - c|^2 / sum m) with c the centre of mass; all masses equal where none are given."""
    weights = np.ones(frames.shape[1]) if masses is None else masses
    shares = weights / weights.sum()
    centred = frames - (shares @ frames)[:, None]
    return np.sqrt(np.sum(centred**2, axis=2) @ shares)


def contact_map(
    backbones: Backbones, first_atom_of_residue: Residues, cutoff_angstrom: float = CONTACT_CUTOFF_ANGSTROM
) -> Float[np.ndarray, "residues residues"]:
    """Share of frames in which two residues are in contact: CB (CA where there is none) nearer than the cutoff.

    8 Angstrom is the convention of CASP (Ezkurdia et al., Proteins 77, 196, 2009). Symmetric, 1 on the diagonal.
    """
    if not len(backbones):
        raise ValueError("expected at least one frame; got none. Check the step that should have made them.")
    table = atom_table(first_atom_of_residue, backbones.shape[1])
    alpha, beta = (table[:, ATOMS.index(name)] for name in ("CA", "CB"))
    sites = backbones[:, np.where(beta == MISSING, alpha, beta)]
    # One frame after another: all distances of all frames would fill the memory.
    touching = sum((pdist(frame) < cutoff_angstrom).astype(float) for frame in sites)
    return squareform(touching / len(sites)) + np.eye(len(table))


def contact_difference(
    found: Float[np.ndarray, "residues residues"],
    reference: Float[np.ndarray, "residues residues"],
    minimum_separation: int = 3,
) -> dict[str, float]:
    """Pearson correlation and root mean square difference of two contact maps.

    Over pairs at least `minimum_separation` residues apart: nearer ones touch in every structure. The correlation is NaN where one map is the
    same for all pairs.
    """
    pairs = np.triu_indices(len(found), k=minimum_separation)
    own, known = found[pairs], reference[pairs]
    varied = len(own) > 1 and own.std() > 0 and known.std() > 0
    return {
        "contact_correlation": float(np.corrcoef(own, known)[0, 1]) if varied else np.nan,
        "contact_rms_difference": float(np.sqrt(np.mean((own - known) ** 2))) if len(own) else np.nan,
    }


def secondary_structure(
    backbones: Backbones,
    residue_indices: Residues,
    chain_indices: Residues,
    first_atom_of_residue: Residues,
    prolines: Bool[np.ndarray, "residues"] | None = None,
) -> Float[np.ndarray, "residues 3"]:
    """Share of frames in which each residue is in a helix (DSSP's H, G, I), a strand (E, B) or neither; see `SECONDARY_STRUCTURE`.

    Kabsch and Sander, Biopolymers 22, 2577 (1983), from N, CA, C and O. A proline gives no hydrogen bond: tell which residues are.
    Only frames that are finite count.
    """
    import mdtraj  # takes a third of a second, and no other number here needs it

    finite = backbones[np.isfinite(backbones).all(axis=(1, 2))]
    if not len(finite):
        raise ValueError("expected a finite frame; got none. The model has diverged: train again.")
    table = atom_table(first_atom_of_residue, backbones.shape[1])[:, :4]
    joined = sequence_neighbours(residue_indices, chain_indices)
    proline = np.zeros(len(table), dtype=bool) if prolines is None else prolines
    trajectory = mdtraj.Trajectory(finite[:, table.ravel()] / ANGSTROM_PER_NM, _topology(joined, proline))
    codes = mdtraj.compute_dssp(trajectory, simplified=True)
    return np.stack([(codes == code).mean(axis=0) for code in ("H", "E", "C")], axis=1)


def _topology(joined: Bool[np.ndarray, "pairs"], prolines: Bool[np.ndarray, "residues"]):
    """N, CA, C and O of every residue for mdtraj; a new chain behind every gap, over which DSSP would see a bond."""
    import mdtraj

    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for is_joined, is_proline in zip([True, *joined], prolines, strict=True):
        chain = chain if is_joined else topology.add_chain()
        residue = topology.add_residue("PRO" if is_proline else "ALA", chain)
        for name in ATOMS[:4]:
            topology.add_atom(name, mdtraj.element.Element.getBySymbol(name[0]), residue)
    return topology
