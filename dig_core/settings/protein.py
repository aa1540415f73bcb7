"""A study of proteins: residues as rigid bodies, sequences that train and sequences that are held out."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.data import Dynamics
from dig_core.settings.evaluation import Evaluation
from dig_core.settings.fields import Fraction, Name, Seed, Settings
from dig_core.settings.network import VarianceExploding
from dig_core.settings.sampling import Sampler


class ProteinTarget(Settings):
    """One protein: its sequence, or a file that holds it."""

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
    held_out: bool = Field(False, description="Never trained on; its samples are compared all the same")

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        given = [key for key in ("sequence", "fasta", "pdb") if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of sequence, fasta, pdb; got {found}. Keep one of them")
        if (self.sequence and self.chain) or (self.pdb is None and self.residues):
            raise ValueError(
                f"expected a file where there is a chain, and a PDB file where there are residues; got {given[0]}. Remove them"
            )
        return self


class ProteinDynamics(Dynamics):
    """One run of molecular dynamics of a protein."""

    constraints: Literal["bonds_to_hydrogen"] | None = Field(
        None, description="Bonds that are kept rigid, for a longer step; null: none"
    )


class ProteinSimulate(ProteinDynamics):
    """Molecular dynamics of every target: independent replicas, made by the workflow or bundled with it."""

    source: Literal["simulate"] = Field(description="The workflow runs the molecular dynamics")
    replicas: int = Field(ge=2, description="Independent runs: the last one is held out, the others train")
    bundled: Name | None = Field(
        description="Folder of data/bundled with backbones of just these replicas, taken instead; null: simulate"
    )
    bias: None = Field(None, description="Always null: plain dynamics")
    simulations_of: None = Field(None, description="Always null: own replicas")
    competitor_duration_ns: None = Field(None, description="Always null: none is run")
    tight_reference: None = Field(None, description="Always null: there is none")
    subset: None = Field(None, description="Always null: all frames train")

    def dynamics(self, replica: str) -> ProteinDynamics:
        """Return the settings of one run: replica '1', '2', ..."""
        values = {name: getattr(self, name) for name in ProteinDynamics.model_fields}
        return ProteinDynamics(**values | {"seed": self.seed + int(replica)})


class FrameNetwork(Settings):
    """Score network over residue frames."""

    kind: Literal["frame_graphormer"] = Field(description="Architecture")
    layers: PositiveInt = Field(description="Number of transformer layers")
    blocks: PositiveInt = Field(
        description="Blocks that share the layers; each sees the structure as denoised by those before it"
    )
    width: PositiveInt = Field(description="Width of a residue's representation")
    pair_width: PositiveInt = Field(description="Width of a pair's representation")
    heads: PositiveInt = Field(description="Attention heads; they divide the width")
    points: PositiveInt = Field(description="Points per head that residues look for in space")
    scale_angstrom: PositiveFloat = Field(
        description="Unit of all lengths in Angstrom: about the standard deviation of the C-alpha coordinates, which training prints"
    )

    @model_validator(mode="after")
    def _parts_divide_wholes(self) -> Self:
        for whole, part in (("layers", "blocks"), ("width", "heads")):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"expected {whole} to be a multiple of {part}; got {getattr(self, whole)} and {getattr(self, part)}."
                    " Change one of them"
                )
        return self


class BrownianRotations(Settings):
    """Brownian motion of orientations; in radians for each axis (the literature's IGSO(3) has eps = sigma / sqrt(2))."""

    kind: Literal["brownian_rotations"] = Field(description="Diffusion process")
    sigma_min: PositiveFloat = Field(description="Smallest noise in radians")
    sigma_max: float = Field(gt=0.0, le=4.0, description="Largest noise in radians; 2.3 are the paper's")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"expected sigma_min < sigma_max; got {self.sigma_min} and {self.sigma_max}. Swap them"
            )
        return self


class FrameProcess(Settings):
    """Diffusion of positions and of orientations, with one time."""

    positions: VarianceExploding = Field(description="Of C-alpha positions, in units of model.scale_angstrom")
    rotations: BrownianRotations = Field(description="Of the residues' orientations")


class FrameTraining(Settings):
    """Denoising score matching of positions and orientations together."""

    steps: PositiveInt = Field(description="Optimiser steps")
    batch_size: PositiveInt = Field(
        description="Noised structures per step; frames appear twice, with opposite noise"
    )
    learning_rate: PositiveFloat = Field(description="Largest learning rate")
    warmup_steps: int = Field(ge=0, description="Steps of linear warm-up")
    weight_decay: float = Field(ge=0.0, description="Weight decay of Muon and AdamW")
    gradient_clip: PositiveFloat = Field(description="Largest norm of the gradient")
    ema_decay: Fraction = Field(description="Decay per step of the averaged weights")
    noise_log_mean: float = Field(
        description="Mean of ln(noise / signal) of the positions at which it is trained"
    )
    noise_log_std: PositiveFloat = Field(description="Standard deviation of ln(noise / signal)")
    weight_low: PositiveFloat = Field(description="Noise / signal below which the loss weighs less")
    weight_high: PositiveFloat = Field(description="Noise / signal above which the loss weighs less")
    validation_fraction: Fraction = Field(
        description="Share of the training frames kept for the learning curve"
    )
    checkpoint_interval_steps: PositiveInt = Field(description="Steps between two restart points")
    seed: Seed = Field(description="Seed of weights, batches and noise")
    control_variate: None = Field(None, description="Always null: plain denoising")


class ProteinStudy(Settings):
    """Everything about one study of proteins: one file config/systems/<name>.yaml."""

    kind: Literal["protein"] = Field(description="Kind of system")
    temperature_K: PositiveFloat = Field(description="Temperature of data, model and reference in K")
    targets: dict[Name, ProteinTarget] = Field(min_length=1, description="Proteins by name")
    data: Annotated[ProteinSimulate, Field()] = Field(description="Where the structures come from")
    model: FrameNetwork = Field(description="Score network")
    process: FrameProcess = Field(description="Diffusion process")
    training: FrameTraining = Field(description="Training of the score network")
    sampler: Sampler = Field(description="Drawing structures")
    evaluation: Evaluation = Field(description="Comparison with the reference")
    pretraining: None = Field(None, description="Always null: training on frames alone")
    density: None = Field(None, description="Always null: none")
    interpolation: None = Field(None, description="Always null: none")

    @model_validator(mode="after")
    def _nothing_of_molecules(self) -> Self:
        """Backbones have no energies, and their states are none of one residue."""
        asked = {
            "sampler.relaxation": self.sampler.relaxation,
            "evaluation.sampler_comparison": self.evaluation.sampler_comparison,
            "evaluation.states": self.evaluation.states,
        }
        for key, value in asked.items():
            if value:
                raise ValueError(f"expected no {key} for proteins; got some. Remove it")
        return self

    @model_validator(mode="after")
    def _some_targets_train(self) -> Self:
        if all(target.held_out for target in self.targets.values()):
            raise ValueError(
                "expected a target that is trained on; got held_out: true for all. Remove it from one"
            )
        return self
