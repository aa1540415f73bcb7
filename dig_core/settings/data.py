"""Settings of molecules and of the structures they are learned from: simulated, or the user's own."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.fields import Name, Platform, Seed, Settings, State, expect_multiple
from dig_core.units import PS_PER_FS, PS_PER_NS


class Target(Settings):
    """One molecule, given in exactly one way."""

    sequence: str | None = Field(None, description="Residues joined by '-', caps included: ACE-ALA-NME")
    smiles: str | None = Field(None, description="SMILES of the molecule, stereocentres stated")
    pdb: str | None = Field(None, description="Path of a PDB file, relative to the repository root")

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        given = [key for key in type(self).model_fields if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of sequence, smiles, pdb; got {found}. Keep one of them")
        return self


class Bias(Settings):
    """Well-tempered metadynamics that is built first and then frozen."""

    torsions: tuple[Literal["phi", "psi"], ...] = Field(
        min_length=1, max_length=2, description="Biased backbone torsions"
    )
    height_kJ_per_mol: PositiveFloat = Field(description="Height of the first hills in kJ/mol")
    width_deg: PositiveFloat = Field(description="Standard deviation of a hill in degrees")
    bias_factor: float = Field(gt=1.0, description="Well-tempered bias factor (T + dT) / T, without unit")
    deposition_interval_ps: PositiveFloat = Field(description="Time between two hills in ps")
    build_duration_ns: PositiveFloat = Field(
        description="Time during which the bias grows in ns; not analysed"
    )


class Dynamics(Settings):
    """One run of molecular dynamics by OpenMM."""

    force_field: tuple[str, ...] = Field(min_length=1, description="OpenMM force-field files")
    platform: Platform = Field(description="OpenMM platform")
    timestep_fs: float = Field(
        gt=0.0, le=10.0, description="Integration step in fs; bonds are not constrained"
    )
    friction_per_ps: PositiveFloat = Field(description="Langevin friction in 1/ps")
    hydrogen_mass_amu: float = Field(ge=1.0, le=6.0, description="Mass of a hydrogen in amu (repartitioned)")
    duration_ns: PositiveFloat = Field(description="Time per replica in ns, after the bias is frozen")
    frame_interval_ps: PositiveFloat = Field(description="Time between two stored frames in ps")
    checkpoint_interval_ps: PositiveFloat = Field(description="Time between two restart points in ps")
    seed: Seed = Field(description="Seed of the competitor; replica k has seed + k")
    bias: Bias | None = Field(description="Metadynamics on torsions, or null for plain dynamics")

    @model_validator(mode="after")
    def _whole_intervals(self) -> Self:
        step_ps = self.timestep_fs * PS_PER_FS
        expect_multiple("frame_interval_ps", self.frame_interval_ps, "timestep_fs", step_ps)
        expect_multiple(
            "checkpoint_interval_ps", self.checkpoint_interval_ps, "frame_interval_ps", self.frame_interval_ps
        )
        if self.duration_ns * PS_PER_NS < 2 * self.frame_interval_ps:
            raise ValueError(
                f"expected duration_ns to hold two frames; got {self.duration_ns} with a frame every"
                f" {self.frame_interval_ps} ps. Lengthen the run"
            )
        if self.bias is not None:
            expect_multiple(
                "bias.deposition_interval_ps", self.bias.deposition_interval_ps, "timestep_fs", step_ps
            )
        return self


class Subset(Settings):
    """Fewer training frames than there are: what can be learned from little."""

    frames: int = Field(ge=20, description="Frames, drawn by weight without replacement; they weigh the same")
    region: State = Field(description="Region of the torsion plane that they are drawn from")
    seed: Seed = Field(description="Seed of the draw")


class Simulate(Dynamics):
    """Molecular dynamics that the workflow runs itself: independent replicas and an honest competitor."""

    source: Literal["simulate"] = Field(description="The workflow runs the molecular dynamics")
    replicas: int = Field(ge=2, description="Independent runs: the last one is held out, the others train")
    competitor_duration_ns: PositiveFloat | None = Field(
        description="Plain dynamics at the cost of training and sampling, in ns; null leaves it out"
    )
    tight_reference: Name | None = Field(description="Bundled reference histogram, or null")
    simulations_of: Name | None = Field(
        None, description="Study whose replicas are used instead of own ones; null: own ones"
    )
    subset: Subset | None = Field(None, description="Train on some of the frames only; null: on all")

    def dynamics(self, replica: str) -> Dynamics:
        """Return the settings of one run: replica '1', '2', ... or 'competitor' (plain dynamics)."""
        values = {name: getattr(self, name) for name in Dynamics.model_fields}
        if replica == "competitor":
            return Dynamics(**values | {"bias": None, "duration_ns": self.competitor_duration_ns})
        return Dynamics(**values | {"seed": self.seed + int(replica)})


class Trajectory(Settings):
    """Frames that the user already has."""

    source: Literal["trajectory"] = Field(description="The user's own trajectories")
    files: tuple[str, ...] = Field(
        min_length=1, description="Trajectory files, one per replica; the last one is held out"
    )
    topology: str = Field(description="Topology file that mdtraj reads (PDB, prmtop, ...)")
    stride: PositiveInt = Field(1, description="Every n-th frame is used")
    first_frame: int = Field(0, ge=0, description="Frames before this one are left out of every file")
    held_out_fraction: float = Field(
        0.5,
        gt=0.0,
        lt=1.0,
        description="Last part of the only file that is held out; unused with several files",
    )
    frame_interval_ps: PositiveFloat | None = Field(
        None, description="Time between two frames of the files in ps; null: as the files say"
    )
    weights: tuple[str, ...] | None = Field(
        None, description="One .npy file of frame weights per file, or null"
    )
    force_field: tuple[str, ...] | None = Field(
        None, description="OpenMM force-field files for energies; null leaves energies out"
    )
    platform: Platform = Field("Reference", description="OpenMM platform of the energies")
    selection: str | None = Field(
        None, description="mdtraj selection of atoms; null: the protein with its caps, or all atoms"
    )
    competitor_duration_ns: None = Field(None, description="Always null: nothing is simulated")
    tight_reference: Name | None = Field(None, description="Bundled reference histogram, or null")
    simulations_of: None = Field(None, description="Always null: nothing is simulated")
    subset: Subset | None = Field(None, description="Train on some of the frames only; null: on all")

    @model_validator(mode="after")
    def _weights_per_file(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.files):
            raise ValueError(
                f"expected one weights file per trajectory ({len(self.files)}); got {len(self.weights)}."
                " Add the missing ones, or write weights: null"
            )
        return self
