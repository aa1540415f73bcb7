"""The energy of a peptide or protein with all atoms as a function of its residue frames (DiG, arXiv 2306.05445, SI algorithm 2).

Every residue carries its backbone, side chain and hydrogens rigidly, as they stand in a template; caps move with the residue they are bonded
to. Frames are those of `dig_core.backbone`: the position of CA, and a rotation whose columns are the axes of the body.

This is the energy of one structure for each set of frames, not the potential of mean force: the density of frames follows from an integral
over side chains and all else that the frames leave open. The gradients of the two differ, most where rigid side chains clash.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import openmm.app as app
import torch
from jaxtyping import Float, Int

from dig_core.backbone import frames_of

BACKBONE = {"N", "CA", "C"}


@runtime_checkable
class AtomicEnergy(Protocol):
    """energy(positions [batch, atoms, 3] in Angstrom) -> energies [batch] in kJ/mol, forces like the positions in kJ/mol/Angstrom."""

    calls: int  # structures evaluated so far

    def __call__(
        self, positions: Float[np.ndarray, "batch atoms 3"]
    ) -> tuple[Float[np.ndarray, " batch"], Float[np.ndarray, "batch atoms 3"]]:
        """Energies and forces of structures."""


@dataclass(frozen=True, eq=False)
class RigidResidues:
    """energy(alpha, rotations) -> energies, forces, torques for batches of residue frames; build it with `of`.

    Args:
        energy: of all atoms.
        template: positions of all atoms, Angstrom.
        template_alpha: positions of CA in the template, Angstrom.
        template_rotations: of the residues in the template.
        body: positions of all atoms in the frame of their residue in the template, CA at the origin, Angstrom.
        residue_of_atom: the residue that an atom moves with, 0 for the first.
    """

    energy: AtomicEnergy
    template: Float[np.ndarray, "atoms 3"]
    template_alpha: Float[np.ndarray, "residues 3"]
    template_rotations: Float[np.ndarray, "residues 3 3"]
    body: Float[np.ndarray, "atoms 3"]
    residue_of_atom: Int[np.ndarray, " atoms"]

    @classmethod
    def of(
        cls,
        template_positions_angstrom: Float[np.ndarray, "atoms 3"],
        corners: Int[np.ndarray, "residues 3"],
        residue_of_atom: Int[np.ndarray, " owners"],
        energy: AtomicEnergy,
    ) -> "RigidResidues":
        """The energy of frames that carry the residues of a template.

        Args:
            template_positions_angstrom: of all atoms, in the order of the energy.
            corners: indices of N, CA and C of each residue.
            residue_of_atom: [atoms], the residue that an atom moves with (see `residues_of_atoms`).
            energy: of all atoms.

        Raises:
            ValueError: residues of another number of atoms, or N, CA and C that are not in their residue.
        """
        template = template_positions_angstrom.astype(np.float64)
        _check_owners(corners, residue_of_atom, len(template))
        nitrogen, alpha, carbon = torch.from_numpy(template[corners]).unbind(1)
        rotations = frames_of(nitrogen, alpha, carbon).numpy()
        from_alpha = template - alpha.numpy()[residue_of_atom]
        body = _in_body(rotations[residue_of_atom], from_alpha)
        return cls(energy, template, alpha.numpy(), rotations, body, residue_of_atom)

    @property
    def calls(self) -> int:
        """Structures evaluated so far, those of the energy itself."""
        return self.energy.calls

    def __call__(
        self, alpha: Float[np.ndarray, "..."], rotations: Float[np.ndarray, "..."]
    ) -> tuple[
        Float[np.ndarray, " batch"],
        Float[np.ndarray, "batch residues 3"],
        Float[np.ndarray, "batch residues 3"],
    ]:
        """Energies in kJ/mol; forces on residues, sum_a f_a, in kJ/mol/Angstrom in the laboratory; torques in kJ/mol/radian in the body.

        A torque R^T sum_a (r_a - r_CA) x f_a is -dE/dw at w = 0 of R Exp(w), the convention of `dig_core.rotations`. Frames that are
        not finite have no energy, and those of other structures are right, as far as the energy of the atoms is like that.

        Args:
            alpha: positions of CA [batch, residues, 3] in Angstrom.
            rotations: [batch, residues, 3, 3].

        Raises:
            ValueError: other shapes. They are not counted.
        """
        energies, forces = self.energy(self.atoms(alpha, rotations))
        torques = np.cross(self.body, _in_body(rotations[:, self.residue_of_atom], forces))
        return energies, self._sums(forces), self._sums(torques)

    def atoms(
        self, alpha: Float[np.ndarray, "..."], rotations: Float[np.ndarray, "..."]
    ) -> Float[np.ndarray, "batch atoms 3"]:
        """Positions r = r_CA + R body of all atoms in Angstrom; the template, to the last digit, for the template's own frames.

        Arguments and errors are those of a call.
        """
        self._check_frames(alpha, rotations)
        # As steps away from the template: they vanish for its own frames, where R body would round.
        moved = (alpha - self.template_alpha)[:, self.residue_of_atom]
        turned = (rotations - self.template_rotations)[:, self.residue_of_atom]
        return self.template + moved + np.einsum("baij,aj->bai", turned, self.body)

    def _sums(self, values: Float[np.ndarray, "batch atoms 3"]) -> Float[np.ndarray, "batch residues 3"]:
        """Sums over the atoms of each residue."""
        sums = np.zeros((len(values), *self.template_alpha.shape))
        np.add.at(sums, (slice(None), self.residue_of_atom), values)
        return sums

    def _check_frames(self, alpha: np.ndarray, rotations: np.ndarray) -> None:
        batch, residues = len(alpha), len(self.template_alpha)
        if alpha.shape != (batch, residues, 3) or rotations.shape != (batch, residues, 3, 3):
            raise ValueError(
                f"expected positions [batch, {residues}, 3] and rotations [batch, {residues}, 3, 3]; got {list(alpha.shape)} and "
                f"{list(rotations.shape)}. Reshape them, or use the template of this protein"
            )


def residues_of_atoms(topology: app.Topology) -> Int[np.ndarray, " atoms"]:
    """The residue that every atom moves with: its own, or for a cap (without N, CA and C) the one that the cap is bonded to.

    Residues are counted from 0 in the order of the topology, without caps.

    Raises:
        ValueError: a cap, or what else has no N, CA and C, that is not bonded to exactly one residue.
    """
    owners: dict[app.topology.Residue, int] = {}
    for residue in topology.residues():
        if {atom.name for atom in residue.atoms()} >= BACKBONE:
            owners[residue] = len(owners)
    caps = {cap: _neighbour(cap, owners) for cap in topology.residues() if cap not in owners}
    found = [(owners | caps)[atom.residue] for atom in topology.atoms()]
    return np.array(found, dtype=np.int64)


def _neighbour(cap: app.topology.Residue, owners: dict[app.topology.Residue, int]) -> int:
    ends = {atom.residue for bond in cap.external_bonds() for atom in bond}
    bonded = [owners[residue] for residue in ends if residue in owners]
    if len(bonded) != 1:
        raise ValueError(
            f"expected every cap bonded to one residue with N, CA and C; got {cap.name} {cap.id} of chain {cap.chain.id}"
            f" bonded to {len(bonded)}. Select the protein alone, with its bonds"
        )
    return bonded[0]


def _in_body(
    rotations: Float[np.ndarray, "*batch 3 3"], vectors: Float[np.ndarray, "*batch 3"]
) -> Float[np.ndarray, "*batch 3"]:
    """R^T v."""
    return np.einsum("...ji,...j->...i", rotations, vectors)


def _check_owners(corners: np.ndarray, residue_of_atom: np.ndarray, atoms: int) -> None:
    if len(residue_of_atom) != atoms:
        raise ValueError(
            f"expected a residue for each of {atoms} atoms; got {len(residue_of_atom)}. Take both from one topology"
        )
    residues = np.arange(len(corners))
    outside = not np.isin(residue_of_atom, residues).all()
    if outside or (residue_of_atom[corners] != residues[:, None]).any():
        raise ValueError(
            f"expected N, CA and C of {len(corners)} residues within residues 0 to {len(corners) - 1} of the atoms; got others. "
            "Take both from one topology"
        )
