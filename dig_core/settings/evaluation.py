"""Settings of the comparison of samples with the held-out reference, and of solvers with each other."""

from pydantic import Field, PositiveFloat, PositiveInt

from dig_core.settings.fields import Name, Settings, State
from dig_core.settings.sampling import Solver, SolverSteps


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
