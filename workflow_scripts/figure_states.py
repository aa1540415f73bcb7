"""Draw samples beside the known structures of their proteins, and their distances from them: of a study, or Figure 2b."""

from dig_core.files import atomic, load_arrays
from dig_core.plotting import write
from dig_core.plotting_states import states_figure
from dig_core.runtime import run


def main(job):
    """Write the figure as picture and vector graphics, and the numbers it shows."""
    evaluations = {n: load_arrays(f) for n, f in zip(job.params.titles, job.input.evaluations, strict=True)}
    figure, table = states_figure(evaluations)
    for path in job.output:
        with atomic(path) as file:
            write(file, figure, table)


if __name__ == "__main__":
    run(main, snakemake)
