"""Settings of a study and of the workflow: frozen, strict models with the unit in the key.

Values are plain (numbers, strings, tuples, mappings), so that Snakemake can compare and store them.
Reading files and turning mistakes into one line stands in `config`; this module states only what is allowed.
"""

import difflib
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from dig_core.units import PS_PER_FS, PS_PER_NS

Solver = Literal["ancestral", "probability_flow", "dpm_solver", "sde_dpm_solver"]
# A chain needs a start and an end.
SolverSteps = Annotated[int, Field(ge=2)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Degrees = Annotated[float, Field(ge=-180.0, le=180.0)]
Seed = Annotated[int, Field(ge=0)]
Platform = Literal["Reference", "CPU", "CUDA", "OpenCL", "HIP"]

# Folders and files under results/ and names of rules: a study or target of that name would overwrite them.
_RESERVED = """
all build cache check compare_samplers condense_reference config dataset example download downloads estimate_density evaluate
evaluate_density figures help interpolate logs metrics model none null path pidp prepare prepare_reference pretrain pretrain_density readme
reference relax relaxed report results sample samples simulate simulate_competitor simulate_pretraining simulation stabilisers tables test
topology train
"""
RESERVED_NAMES = frozenset(_RESERVED.split())


def suggestion(word: object, known: Iterable[object]) -> str:
    """Return ' Did you mean x?' for the nearest known word, or nothing."""
    nearest = difflib.get_close_matches(str(word), [str(item) for item in known], n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def _valid_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(
            f"expected a name of letters, digits, _ and - that starts with a letter; got {name!r}. Rename it"
        )
    if name.lower() in RESERVED_NAMES or name.lower().startswith(("figure_", "table_")):
        raise ValueError(f"expected a name that the workflow does not use itself; got {name!r}. Rename it")
    return name


Name = Annotated[str, AfterValidator(_valid_name)]


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown keys and converts nothing silently."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                known = list(cls.model_fields)
                hint = suggestion(key, known) or f" Remove it, or write one of: {', '.join(known)}"
                raise ValueError(f"expected a known key; got {str(key)!r}.{hint}")
        return values


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
        _expect_multiple("frame_interval_ps", self.frame_interval_ps, "timestep_fs", step_ps)
        _expect_multiple(
            "checkpoint_interval_ps", self.checkpoint_interval_ps, "frame_interval_ps", self.frame_interval_ps
        )
        if self.duration_ns * PS_PER_NS < 2 * self.frame_interval_ps:
            raise ValueError(
                f"expected duration_ns to hold two frames; got {self.duration_ns} with a frame every"
                f" {self.frame_interval_ps} ps. Lengthen the run"
            )
        if self.bias is not None:
            _expect_multiple(
                "bias.deposition_interval_ps", self.bias.deposition_interval_ps, "timestep_fs", step_ps
            )
        return self


class State(Settings):
    """A region of the torsion plane; an interval whose end is below its start wraps through 180 degrees."""

    phi_deg: tuple[Degrees, Degrees] = Field(description="Start and end in phi, degrees")
    psi_deg: tuple[Degrees, Degrees] = Field(description="Start and end in psi, degrees")

    @model_validator(mode="after")
    def _has_width(self) -> Self:
        for key in ("phi_deg", "psi_deg"):
            low, high = getattr(self, key)
            if low == high:
                raise ValueError(
                    f"expected two different angles in {key}; got {low} twice."
                    " Write [-180.0, 180.0] for the whole period"
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


class Model(Settings):
    """Score network (Graphormer)."""

    kind: Literal["graphormer"] = Field(description="Architecture")
    layers: PositiveInt = Field(description="Number of transformer layers")
    blocks: PositiveInt = Field(
        description="Blocks that share the layers; each sees the structure as denoised by those before it"
    )
    width: PositiveInt = Field(description="Width of a node's representation")
    heads: PositiveInt = Field(description="Attention heads; they divide the width")
    radial_features: PositiveInt = Field(description="Gaussian functions of the interatomic distance")
    head_width: PositiveInt = Field(description="Width of the output head")

    @model_validator(mode="after")
    def _parts_divide_wholes(self) -> Self:
        if self.layers % self.blocks:
            raise ValueError(
                f"expected layers to be a multiple of blocks; got {self.layers} and {self.blocks}."
                " Change one of them"
            )
        if self.width % self.heads:
            raise ValueError(
                f"expected width to be a multiple of heads; got {self.width} and {self.heads}."
                " Change one of them"
            )
        return self


class VariancePreserving(Settings):
    """Variance-preserving diffusion of coordinates scaled to unit variance."""

    kind: Literal["variance_preserving"] = Field(description="Diffusion process")
    schedule: Literal["linear", "cosine", "sigmoid"] = Field(
        description="Noise schedule; sigmoid is the paper's"
    )


class VarianceExploding(Settings):
    """Variance-exploding diffusion; noise in units of the data's standard deviation."""

    kind: Literal["variance_exploding"] = Field(description="Diffusion process")
    sigma_min: PositiveFloat = Field(description="Smallest noise, in standard deviations of the data")
    sigma_max: PositiveFloat = Field(description="Largest noise, in standard deviations of the data")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"expected sigma_min < sigma_max; got {self.sigma_min} and {self.sigma_max}. Swap them"
            )
        return self


class Training(Settings):
    """Denoising score matching."""

    steps: int = Field(
        ge=0, description="Optimiser steps; 0 leaves the weights as pre-training has made them"
    )
    batch_size: PositiveInt = Field(
        description="Noised structures per step; frames appear twice, with opposite noise"
    )
    learning_rate: PositiveFloat = Field(description="Largest learning rate")
    warmup_steps: int = Field(ge=0, description="Steps of linear warm-up")
    weight_decay: float = Field(ge=0.0, description="Weight decay of Muon and AdamW")
    gradient_clip: PositiveFloat = Field(description="Largest norm of the gradient")
    ema_decay: Fraction = Field(description="Decay per step of the averaged weights")
    draw_exponent: float = Field(
        ge=0.0,
        le=1.0,
        description="Frames are drawn as their weight to this power, and the loss corrects for it; below 1 rare states are seen more often",
    )
    noise_log_mean: float = Field(description="Mean of ln(noise / signal) at which the network is trained")
    noise_log_std: PositiveFloat = Field(description="Standard deviation of ln(noise / signal)")
    weight_low: PositiveFloat = Field(description="Noise / signal below which the loss weighs less")
    weight_high: PositiveFloat = Field(description="Noise / signal above which the loss weighs less")
    validation_fraction: Fraction = Field(
        description="Share of the training frames kept for the learning curve"
    )
    checkpoint_interval_steps: PositiveInt = Field(description="Steps between two restart points")
    seed: Seed = Field(description="Seed of weights, batches and noise")


class HotDynamics(Settings):
    """Plain dynamics at a higher temperature: structures of low energy in several basins, without useful weights."""

    kind: Literal["hot_dynamics"] = Field(description="How structures are found")
    temperature_K: PositiveFloat = Field(description="Temperature of the dynamics in K")
    duration_ns: PositiveFloat = Field(description="Time in ns")
    frame_interval_ps: PositiveFloat = Field(description="Time between two structures in ps")


class BiasedDynamics(Settings):
    """Dynamics with the bias of `data.bias`: structures with the weights of the study's temperature."""

    kind: Literal["biased_dynamics"] = Field(description="How structures are found")
    build_duration_ns: PositiveFloat = Field(
        description="Time during which the bias grows in ns; not analysed"
    )
    duration_ns: PositiveFloat = Field(description="Time after that in ns")
    frame_interval_ps: PositiveFloat = Field(description="Time between two structures in ps")


class ParallelTempering(Settings):
    """Replicas at several temperatures that exchange structures: those at the study's temperature, equally weighted."""

    kind: Literal["parallel_tempering"] = Field(description="How structures are found")
    higher_temperatures_K: tuple[PositiveFloat, ...] = Field(
        min_length=1, description="Temperatures above the study's, in K, rising"
    )
    exchange_interval_ps: PositiveFloat = Field(description="Time between two attempted exchanges in ps")
    duration_ns: PositiveFloat = Field(description="Time of each replica in ns")
    frame_interval_ps: PositiveFloat = Field(description="Time between two structures in ps")


class DenoisingLoss(Settings):
    """Denoising of the structures by weight; they stay in the mix while the study's own frames train."""

    kind: Literal["denoising"] = Field(description="What is learned from the structures")


class FokkerPlanckLoss(Settings):
    """The Fokker-Planck equation at all times and the forces at the smallest noise (PIDP)."""

    kind: Literal["fokker_planck"] = Field(description="What is learned from the structures")
    form: Literal["score", "potential"] = Field(
        description="score: the paper's free vector; potential: log q, of which the score is the gradient"
    )
    narrowest: PositiveFloat = Field(
        description="Width of the stiffest vibration in standard deviations of the data: the scale of residuals"
    )
    residual: PositiveFloat = Field(description="Weight of the residual against the boundary")
    curriculum: Fraction = Field(
        gt=0.0, description="Share of the steps in which the times of the residual grow from 0 to 1"
    )


class ForceLoss(Settings):
    """The score of the energy's harmonic expansion as target at small noise."""

    kind: Literal["forces"] = Field(description="What is learned from the structures")
    largest_noise: PositiveFloat = Field(
        description="Up to which noise the expansion is trusted, in standard deviations of the data"
    )


class Pretraining(Settings):
    """Training from energies and forces before the training on frames."""

    structures: Annotated[HotDynamics | BiasedDynamics | ParallelTempering, Field(discriminator="kind")] = (
        Field(description="Structures that the force field is asked about")
    )
    loss: Annotated[DenoisingLoss | FokkerPlanckLoss | ForceLoss, Field(discriminator="kind")] = Field(
        description="What is learned from them"
    )
    steps: PositiveInt = Field(description="Optimiser steps")
    batch_size: PositiveInt = Field(description="Structures per step")
    learning_rate: PositiveFloat = Field(description="Largest learning rate")
    warmup_steps: int = Field(ge=0, description="Steps of linear warm-up")
    seed: Seed = Field(description="Seed of the structures, of the initial weights and of the noise")

    @model_validator(mode="after")
    def _denoising_has_weights(self) -> Self:
        if self.loss.kind == "denoising" and self.structures.kind == "hot_dynamics":
            raise ValueError(
                "expected structures with weights for loss.kind: denoising; got hot_dynamics."
                " Use biased_dynamics or parallel_tempering"
            )
        return self


class Relaxation(Settings):
    """A short Langevin run of every sample with the true forces, after a gentle start of 20 shorter steps."""

    steps: PositiveInt = Field(description="Integration steps after the gentle start")
    timestep_fs: float = Field(
        gt=0.0, le=10.0, description="Integration step in fs; bonds are not constrained"
    )
    friction_per_ps: PositiveFloat = Field(
        description="Langevin friction in 1/ps; 50.0 takes the heat of strained bonds away in 0.1 ps, 1.0 does not"
    )
    temperature_K: PositiveFloat | None = Field(None, description="In K; null: the study's temperature")
    hydrogen_mass_amu: float = Field(
        3.0, ge=1.0, le=6.0, description="Mass of a hydrogen in amu (repartitioned)"
    )
    seed: Seed = Field(description="Seed; the run of structure i depends on it and on i alone")


class Drawing(Settings):
    """Drawing structures from a score."""

    kind: Solver = Field(description="Solver")
    steps: SolverSteps = Field(description="Time points; one network evaluation each (probability_flow: two)")
    samples: PositiveInt = Field(description="Structures to draw per target")
    batch_size: PositiveInt = Field(description="Structures per batch; halved when memory runs out")
    seed: Seed = Field(description="Seed; structure i does not depend on the batch size")


class Sampler(Drawing):
    """Drawing structures of molecules from the trained model."""

    until_valid: bool = Field(description="Draw until that many structures pass the physical filter")
    relaxation: Relaxation | None = Field(
        None, description="Short dynamics of the samples with the true forces; null leaves it out"
    )


class ExactDivergence(Settings):
    """The whole trace: one pass backwards per dimension."""

    kind: Literal["exact"] = Field(description="Divergence of the score")


class HutchinsonDivergence(Settings):
    """An estimate of the trace with random vectors, and its standard error."""

    kind: Literal["hutchinson"] = Field(description="Divergence of the score")
    probes: int = Field(ge=2, description="Random vectors per structure; 20 are usual")


class Density(Settings):
    """Log densities of structures drawn from the probability flow, and of held-out frames."""

    draws: PositiveInt = Field(
        description="Structures drawn along the probability flow; cheap, they tell the populations"
    )
    structures: int = Field(
        ge=4, description="How many of them get a log density; each state at least a quarter, if it has them"
    )
    reference_structures: int = Field(
        ge=2, description="Held-out frames, drawn by weight, that get a log density as well"
    )
    tolerance: PositiveFloat = Field(
        description="In nats: points along the path are doubled until the log density changes by less"
    )
    divergence: Annotated[ExactDivergence | HutchinsonDivergence, Field(discriminator="kind")] = Field(
        description="How the divergence of the score is computed"
    )
    batch_size: PositiveInt = Field(description="Structures that follow their paths together")
    seed: Seed = Field(
        description="Seed of draws, frames and probes; structure i depends on it and on i alone"
    )

    @model_validator(mode="after")
    def _enough_draws(self) -> Self:
        if self.structures > self.draws:
            raise ValueError(
                f"expected structures <= draws; got {self.structures} and {self.draws}. Draw more, they are cheap"
            )
        return self


class SamplerComparison(Settings):
    """Quality against the number of steps."""

    samples: PositiveInt = Field(description="Structures per solver and number of steps")
    solvers: dict[Solver, tuple[SolverSteps, ...]] = Field(
        min_length=1, description="Solver: list of numbers of time points"
    )


class Evaluation(Settings):
    """Comparison of samples with the held-out reference."""

    bins: int = Field(ge=2, description="Bins per axis of the landscape")
    low_energy_cutoff_kcal_per_mol: PositiveFloat = Field(description="Low-energy bins, above the minimum")
    bootstrap_repeats: int = Field(ge=2, description="Bootstrap replicates of every confidence interval")
    tica_lag_ps: PositiveFloat = Field(description="Lag time of TICA in ps")
    states: dict[Name, State] = Field(
        description="Named regions whose populations are reported; may be empty"
    )
    sampler_comparison: SamplerComparison | None = Field(
        None, description="Solvers to compare; null leaves it out"
    )


class Interpolation(Settings):
    """Paths between two states through the latent space of the model."""

    start_state: Name = Field(description="State of evaluation.states from which the paths start")
    end_state: Name = Field(description="State of evaluation.states in which they end")
    paths: PositiveInt = Field(description="Independent pairs of training frames that are connected")
    points: int = Field(
        ge=3, description="Structures along each path, both ends included, about evenly spaced"
    )
    largest_noise: PositiveFloat | None = Field(
        None,
        description="Latent states are structures with so much noise, in standard deviations of the data; null: all noise",
    )
    kind: Literal["slerp", "linear"] = Field(
        description="Between latent states: slerp keeps their norms, linear is the paper's"
    )
    tolerance: PositiveFloat = Field(
        description="Largest error of one step along the probability flow of the ends, relative to the noise"
    )
    seed: Seed = Field(description="Seed of the draw of frames")

    @model_validator(mode="after")
    def _two_states(self) -> Self:
        if self.start_state == self.end_state:
            raise ValueError(
                f"expected two different states; got {self.start_state} twice. Change start_state or end_state"
            )
        return self


class Study(Settings):
    """Everything about one study: one file config/systems/<name>.yaml."""

    kind: Literal["molecule"] = Field(description="Kind of system")
    temperature_K: PositiveFloat = Field(description="Temperature of data, model and reference in K")
    targets: dict[Name, Target] = Field(min_length=1, description="Molecules by name")
    data: Annotated[Simulate | Trajectory, Field(discriminator="source")] = Field(
        description="Where the structures come from"
    )
    model: Model = Field(description="Score network")
    process: Annotated[VariancePreserving | VarianceExploding, Field(discriminator="kind")] = Field(
        description="Diffusion process"
    )
    pretraining: Pretraining | None = Field(
        None, description="Training from energies before that on frames; null leaves it out"
    )
    training: Training = Field(description="Training of the score network")
    sampler: Sampler = Field(description="Drawing structures")
    evaluation: Evaluation = Field(description="Comparison with the reference")
    density: Density | None = Field(
        None,
        description="Log densities of drawn structures; null leaves them out. Energies need data.force_field",
    )
    interpolation: Interpolation | None = Field(
        None, description="Paths between two states through the latent space; null leaves them out"
    )

    @model_validator(mode="after")
    def _trajectory_has_one_target(self) -> Self:
        if self.data.source == "trajectory" and len(self.targets) != 1:
            raise ValueError(
                f"expected one target with data.source: trajectory; got {len(self.targets)}. Keep one"
                " target, or make one study per molecule"
            )
        return self

    @model_validator(mode="after")
    def _pretraining_has_forces(self) -> Self:
        if self.pretraining is None and self.training.steps == 0:
            raise ValueError(
                "expected training.steps >= 1 without pretraining; got 0. Train, or add pretraining"
            )
        if self.pretraining is None:
            return self
        if self.data.source != "simulate":
            raise ValueError(
                "expected data.source: simulate where there is pretraining, whose dynamics takes its settings;"
                f" got {self.data.source}. Write pretraining: null"
            )
        if self.pretraining.structures.kind == "biased_dynamics" and self.data.bias is None:
            raise ValueError(
                "expected data.bias where pretraining has biased_dynamics; got null. State the bias, or use"
                " parallel_tempering"
            )
        return self

    @model_validator(mode="after")
    def _interpolation_knows_its_states(self) -> Self:
        known = self.evaluation.states
        for key in ("start_state", "end_state") if self.interpolation is not None else ():
            name = getattr(self.interpolation, key)
            if name not in known:
                hint = suggestion(name, known) or " Add it there, or write interpolation: null"
                raise ValueError(
                    f"expected a state of evaluation.states in interpolation.{key}; got {name!r}.{hint}"
                )
        return self

    @model_validator(mode="after")
    def _relaxation_has_forces(self) -> Self:
        if self.sampler.relaxation is not None and not self.data.force_field:
            raise ValueError(
                "expected data.force_field where there is sampler.relaxation; got none."
                " Name the force field, or write relaxation: null"
            )
        return self


class Comparison(Settings):
    """Studies that differ in something, each run with several seeds."""

    studies: tuple[Name, ...] = Field(min_length=1, description="Studies, a row each")
    seeds: tuple[Seed, ...] = Field(
        (),
        description="Seeds of pre-training, training and sampling; <study>_seed<k> is the study with seed k."
        " None for known densities, whose studies have seeds of their own",
    )


class Workflow(Settings):
    """config/config.yaml: which studies, which figures."""

    studies: tuple[Name, ...] = Field(min_length=1, description="Studies, names of files in config/systems")
    figures: dict[Literal["figure_2a"], tuple[Name, ...]] = Field(
        description="Figure: studies whose landscapes it shows"
    )
    comparisons: dict[Literal["table_pidp", "table_stabilisers"], Comparison] = Field(
        {}, description="Table: studies that it compares; made only when the table is asked for"
    )

    @model_validator(mode="after")
    def _figures_show_studies(self) -> Self:
        for figure, names in self.figures.items():
            for name in set(names) - set(self.studies):
                hint = suggestion(name, self.studies) or " Add it to studies"
                raise ValueError(
                    f"expected a study that is listed under studies in {figure}; got {name!r}.{hint}"
                )
        return self


def _expect_multiple(name: str, value: float, unit_name: str, unit: float) -> None:
    ratio = value / unit
    if round(ratio) < 1 or not math.isclose(ratio, round(ratio), rel_tol=1e-6):
        raise ValueError(f"expected {name} to be a multiple of {unit_name}; got {value}. Change one of them")
