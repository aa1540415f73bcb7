"""One protein of a study: its sequence, its files, and what is known of it."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.fields import Name, Settings


class KnownStructure(Settings):
    """A file with one structure of a protein; its backbone is enough."""

    pdb: str = Field(description="Path of a PDB or mmCIF file, may be gzipped")
    chain: str | None = Field(None, description="Chain of the file; null: its only one")
    residues: tuple[int, int] | None = Field(
        None, description="First and last residue, numbered as in the file; null: all"
    )


class ProteinTrajectory(Settings):
    """Molecular dynamics of one protein that the user already has, in any format that mdtraj reads."""

    topology: str = Field(
        description="Topology file that mdtraj reads (PDB, prmtop, psf, ...), with all atoms of the trajectories"
    )
    replicas: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = Field(
        min_length=2,
        description="Independent runs, each a list of files that follow one another in time: the last run is held out, the others train",
    )
    selection: str | None = Field(
        None, description="mdtraj selection of the protein's residues; null: all amino acids of the topology"
    )
    number_offset: int = Field(
        0,
        description="Added to the topology's residue numbers, which must then be those of the target (a sequence counts from 1)",
    )
    first_frame: NonNegativeInt = Field(0, description="Frames of a run before this one are left out")
    stride: PositiveInt = Field(1, description="Every n-th frame is used")
    frame_interval_ps: PositiveFloat | None = Field(
        None,
        description="Time between two frames of the files in ps; null: as the files say, which DCD files do not",
    )


class Transition(Settings):
    """Frames of a protein on its way from one known structure to another one, in any format that mdtraj reads."""

    trajectory: str = Field(description="Path of the trajectory (dcd, xtc, ...)")
    topology: str = Field(description="Topology file that mdtraj reads (PDB, prmtop, psf, ...)")
    selection: str | None = Field(
        None, description="mdtraj selection of the protein's residues; null: all amino acids of the topology"
    )
    number_offset: int = Field(
        0, description="Added to the topology's residue numbers, which must then be those of the states"
    )
    biased: bool = Field(
        description="Whether a bias drove the protein on its way, which is then not that of equilibrium: the figure says so"
    )


class ProteinTarget(Settings):
    """One protein: its sequence, a file that holds it, or its known structures."""

    sequence: str | None = Field(
        None, description="One letter per residue (GYDPETGTWG), or names with caps (ACE-ALA-GLY-NME)"
    )
    fasta: str | None = Field(None, description="Path of a FASTA file")
    pdb: str | None = Field(None, description="Path of a PDB or mmCIF file, may be gzipped")
    chain: str | None = Field(
        None, description="Chain of the file, or record of a FASTA file; null: its only one"
    )
    residues: tuple[int, int] | None = Field(
        None, description="First and last residue, numbered as in the file; null: all"
    )
    states: dict[Name, KnownStructure] | None = Field(
        None,
        min_length=2,
        description="Known structures by name, for data.source structures: the residues that all files have, by their numbers",
    )
    transition: Transition | None = Field(
        None,
        description="A known transition between two of the states, with which their path is compared, as it is: nothing learns from it",
    )
    caps: bool = Field(
        True, description="Whether caps (ACE, NME) of the PDB file are kept; false: its ends are charged"
    )
    embeddings: str | None = Field(
        None,
        description="Path of an npz file with embeddings of the residues made elsewhere: `sequence`, and `single`, `pair` or both",
    )
    trajectory: ProteinTrajectory | None = Field(
        None, description="The user's own molecular dynamics, for data.source trajectory"
    )
    held_out: bool = Field(False, description="Never trained on; its samples are compared all the same")

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        given = [key for key in ("sequence", "fasta", "pdb", "states") if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"expected exactly one of sequence, fasta, pdb, states; got {found}. Keep one of them"
            )
        if (
            (self.sequence and self.chain)
            or (self.states and self.chain)
            or (self.pdb is None and self.residues)
        ):
            raise ValueError(
                f"expected a file where there is a chain, and a PDB file where there are residues; got {given[0]}. Remove them"
            )
        if self.pdb is None and not self.caps:
            raise ValueError(f"expected a PDB file where caps is false; got {given[0]}. Leave out caps there")
        return self

    @model_validator(mode="after")
    def _transitions_join_states(self) -> Self:
        if self.transition and not self.states:
            raise ValueError(
                "expected states where there is a transition, which leads from one to another; got none. Remove the transition"
            )
        return self
