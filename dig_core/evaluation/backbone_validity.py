"""Physical validity of protein backbones: chain breaks, peptide bonds and their angles, clashes, chirality.

The counterpart of `validity` for structures whose residues are rigid bodies: lengths and angles inside a residue are given, those
between residues are judged. Bonds and angles have the tolerance of PoseBusters (Buttenschoen, Morris and Deane, Chemical Science 2024,
doi 10.1039/D3SC04185A), a chain is broken where BioEmu says so (Lewis et al., Science 2025, doi 10.1126/science.adv9817), and atoms
clash where those of no real structure do: crystal structures and NMR models pass, also when only the frames of their residues are kept.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from dig_core.evaluation.backbone_atoms import ATOMS, MISSING, Residues, atom_table, sequence_neighbours
from dig_core.evaluation.validity import chirality_signs

CRITERIA = ("finite", "no_break", "bond_lengths", "bond_angles", "no_clash", "chirality")

# CA to CA of sequence neighbours, Angstrom: 3.8 in a trans and 2.9 in a cis peptide.
NEIGHBOUR_CA_ANGSTROM = (2.0, 4.5)
# Engh and Huber, Acta Crystallographica A 47, 392 (1991): C-N, and CA to N and C to CA by angles of 116.2 and 121.7 degrees.
PEPTIDE_BOND_ANGSTROM = 1.329
ACROSS_PEPTIDE_BOND_ANGSTROM = (2.425, 2.435)
TOLERANCE = 0.25
# Bondi, J. Phys. Chem. 68, 441 (1964), in the order of ATOMS.
VAN_DER_WAALS_RADII_ANGSTROM = (1.55, 1.70, 1.70, 1.52, 1.70)
# Crystal structures and simulations come down to 0.76, to 0.70 when rebuilt from frames of residues, an NMR model (1VII) to 0.68.
CLASH_SHARE = 0.65
N, CA, C, O, CB = range(len(ATOMS))  # noqa: E741
Pairs = Int[np.ndarray, "pairs 2"]


@dataclass(frozen=True)
class BackboneValidity:
    """Which structures fulfil which criterion (true = good), each [structures].

    A structure with coordinates that are not finite fails `finite` alone: nothing else can be judged in it.
    """

    finite: Bool[np.ndarray, "structures"]
    no_break: Bool[np.ndarray, "structures"]
    bond_lengths: Bool[np.ndarray, "structures"]
    bond_angles: Bool[np.ndarray, "structures"]
    no_clash: Bool[np.ndarray, "structures"]
    chirality: Bool[np.ndarray, "structures"]

    def criteria(self) -> dict[str, Bool[np.ndarray, "structures"]]:
        """Every criterion by its name, in the order of `CRITERIA`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def valid(self) -> Bool[np.ndarray, "structures"]:
        """Which structures fulfil every criterion."""
        return np.logical_and.reduce(list(self.criteria().values()))

    def counts(self) -> dict[str, int]:
        """Numbers of structures: `structures`, how many fulfil each criterion, and `valid`."""
        passed = {name: int(good.sum()) for name, good in (self.criteria() | {"valid": self.valid}).items()}
        return {"structures": len(self.finite), **passed}


def check(
    positions: Float[np.ndarray, "structures atoms 3"],
    residue_indices: Residues,
    chain_indices: Residues,
    first_atom_of_residue: Residues,
) -> BackboneValidity:
    """Judge backbones (Angstrom; see `backbone_atoms` for the order of atoms). Nothing is asked of residues beside a gap.

    - `no_break`: CA to CA of sequence neighbours from 2.0 to 4.5 Angstrom;
    - `bond_lengths`: C to N of the next residue within 25 % of 1.329 Angstrom;
    - `bond_angles`: CA to the next N and C to the next CA within 25 % of 2.425 and 2.435 Angstrom;
    - `no_clash`: atoms at least three bonds apart at no less than 65 % of the sum of their van der Waals radii: 2.0 to 2.2 Angstrom.
      That is below every hydrogen bond (2.5 and more from N to O), which so needs no allowance. Leave out the CB that `backbone`
      builds for glycine: its O may lie there;
    - `chirality`: CB on the side of an L residue; a residue without CB is not judged.

    Structures that are not finite are invalid, not an error.
    """
    table = atom_table(first_atom_of_residue, positions.shape[1])
    before = np.flatnonzero(sequence_neighbours(residue_indices, chain_indices))
    finite = np.isfinite(positions).all(axis=(1, 2))
    judged = positions[finite]
    found = {**_of_peptide_bonds(judged, table, before), "chirality": _all_l(judged, table)}
    found["no_clash"] = _apart(judged, table, before)
    criteria = {name: np.ones(len(positions), dtype=bool) for name in found}
    for name, good in found.items():
        criteria[name][finite] = good
    return BackboneValidity(finite, **criteria)


def _of_peptide_bonds(positions: np.ndarray, table: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
    """The criteria that judge distances between residues `before` and the ones behind them."""

    def within(atom: int, of_next: int, low: float, high: float) -> Bool[np.ndarray, "structures"]:
        """Whether an atom of each residue and one of the next are that far apart."""
        separation = positions[:, table[before, atom]] - positions[:, table[before + 1, of_next]]
        distances = np.linalg.norm(separation, axis=-1)
        return np.all((distances >= low) & (distances <= high), axis=1)

    def near(atom: int, of_next: int, length: float) -> Bool[np.ndarray, "structures"]:
        """The same within the tolerance of a length."""
        return within(atom, of_next, (1 - TOLERANCE) * length, (1 + TOLERANCE) * length)

    to_nitrogen, to_alpha = ACROSS_PEPTIDE_BOND_ANGSTROM
    return {
        "no_break": within(CA, CA, *NEIGHBOUR_CA_ANGSTROM),
        "bond_lengths": near(C, N, PEPTIDE_BOND_ANGSTROM),
        "bond_angles": near(CA, N, to_nitrogen) & near(C, CA, to_alpha),
    }


def _all_l(positions: np.ndarray, table: np.ndarray) -> Bool[np.ndarray, "structures"]:
    """Whether N, C and CB of every residue stand around CA as in an L residue: (N - CA) . ((C - CA) x (CB - CA)) > 0."""
    centres = table[table[:, CB] != MISSING][:, [CA, N, C, CB]]
    return np.all(chirality_signs(positions, centres) == 1, axis=1)


def _apart(positions: np.ndarray, table: np.ndarray, before: np.ndarray) -> Bool[np.ndarray, "structures"]:
    """Structure by structure with a tree of neighbours: memory grows with the atoms, not with their square."""
    atoms = positions.shape[1]
    radii = np.zeros(atoms)
    for name, radius in enumerate(VAN_DER_WAALS_RADII_ANGSTROM):
        own = table[:, name]
        radii[own[own != MISSING]] = CLASH_SHARE * radius
    close_by_bonds = np.unique(_numbered(_bonded_pairs(table, before), atoms))
    return np.array([not _clashes(own, radii, close_by_bonds) for own in positions], dtype=bool)


def _clashes(positions: np.ndarray, radii: np.ndarray, close_by_bonds: np.ndarray) -> bool:
    pairs = cKDTree(positions).query_pairs(2 * radii.max(), output_type="ndarray")
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    suspects = pairs[distances < radii[pairs].sum(axis=1)]
    return not np.isin(_numbered(suspects, len(positions)), close_by_bonds).all()


def _numbered(pairs: Pairs, atoms: int) -> Int[np.ndarray, "pairs"]:
    """One number for a pair, whichever atom comes first."""
    return pairs.min(axis=1) * atoms + pairs.max(axis=1)


def _bonded_pairs(table: np.ndarray, before: np.ndarray) -> Pairs:
    """All pairs that one or two bonds connect."""
    inside = [(N, CA), (CA, C), (C, O), (CA, CB), (N, C), (CA, O), (N, CB), (C, CB)]
    across = [(C, N), (CA, N), (O, N), (C, CA)]
    own = [table[:, pair] for pair in inside]
    next_ones = [np.stack([table[before, i], table[before + 1, j]], axis=1) for i, j in across]
    pairs = np.concatenate([*own, *next_ones])
    return pairs[(pairs != MISSING).all(axis=1)]
