"""Settings of what is drawn from a trained model: structures, their relaxation, log densities, paths between states."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from dig_core.settings.fields import Name, Seed, Settings

Solver = Literal["ancestral", "probability_flow", "dpm_solver", "sde_dpm_solver", "predictor_corrector"]
# A chain needs a start and an end.
SolverSteps = Annotated[int, Field(ge=2)]


CORRECTORS = 4  # of predictor_corrector, where a study does not say


def score_evaluations(solver: Solver, steps: int, correctors: int = CORRECTORS) -> int:
    """How often a solver with so many time points asks the network; `predictor_corrector` with so many correctors between two of them."""
    several = {
        "probability_flow": 2 * steps - 1,
        "predictor_corrector": 1 + (steps - 1) * (1 + correctors),
    }
    return several.get(solver, steps)


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
    steps: SolverSteps = Field(
        description="Time points; one network evaluation each (probability_flow: two, predictor_corrector: one and its correctors, of which it has four unless stated)"
    )
    samples: PositiveInt = Field(description="Structures to draw per target")
    batch_size: PositiveInt = Field(description="Structures per batch; halved when memory runs out")
    seed: Seed = Field(description="Seed; structure i does not depend on the batch size")


class Sampler(Drawing):
    """Drawing structures of molecules from the trained model."""

    until_valid: bool = Field(description="Draw until that many structures pass the physical filter")
    shards: PositiveInt = Field(
        1, description="Jobs among which the batches of a target are divided; the samples stay the same"
    )
    relaxation: Relaxation | None = Field(
        None, description="Short dynamics of the samples with the true forces; null leaves it out"
    )

    @model_validator(mode="after")
    def _shards_have_batches(self) -> Self:
        batches = -(-self.samples // self.batch_size)
        if self.shards > batches:
            raise ValueError(
                f"expected at most as many shards as batches, {batches}; got {self.shards}. Lower shards or batch_size"
            )
        if self.shards > 1 and self.until_valid:
            raise ValueError(
                f"expected one shard where structures are drawn until_valid; got {self.shards}."
                " Write until_valid: false, or shards: 1"
            )
        return self


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


class StatePath(Settings):
    """A path between two states through the latent space of the model."""

    start_state: Name = Field(
        description="State from which paths start: of evaluation.states, or a known structure of every target (`states`)"
    )
    end_state: Name = Field(description="State in which they end, one of the same")
    points: int = Field(
        ge=3, description="Structures along each path, both ends included, about evenly spaced"
    )
    largest_noise: PositiveFloat | None = Field(
        None,
        description="Latent states are structures with so much noise, in standard deviations of the data (of CA positions: in units of"
        " model.scale_angstrom); null: all noise, which leaves orientations of residues uniform and their ways through it poor",
    )
    kind: Literal["slerp", "linear"] = Field(
        description="Between latent states: slerp keeps their norms, linear is the paper's"
    )
    tolerance: PositiveFloat = Field(
        description="Largest error of one step along the probability flow of the ends, relative to the noise"
    )

    @model_validator(mode="after")
    def _two_states(self) -> Self:
        if self.start_state == self.end_state:
            raise ValueError(
                f"expected two different states; got {self.start_state} twice. Change start_state or end_state"
            )
        return self


class Interpolation(StatePath):
    """Paths between two states of a molecule, from several frames of each."""

    paths: PositiveInt = Field(description="Independent pairs of training frames that are connected")
    seed: Seed = Field(description="Seed of the draw of frames")
