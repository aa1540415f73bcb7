"""How much of a protein is folded: in its samples, in both replicas, and whether the molecular dynamics has gone to and fro often enough to know.

The folded structure is the one that the dynamics starts from. Distances are those of C-alpha atoms after superposition; populations are at the study's
temperature. Events of a run of parallel tempering are counted along its walkers, at whatever temperature they are, and again as they are seen at the study's
temperature alone, which is what its populations rest on; those of plain dynamics along its frames.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from dig_core.data.backbone_frames import corners_of
from dig_core.evaluation import folding
from dig_core.evaluation.folding import FOLDED, UNFOLDED, Events
from dig_core.evaluation.superposition import ca_rmsd
from dig_core.settings.protein_evaluation import Folding
from dig_core.systems.metrics import share_with_interval, suffixed
from dig_core.systems.protein_states import alphas_of, reached_metrics
from dig_core.systems.series import Arrays, Series, Sources
from dig_core.systems.yardstick import Scores, Study

NAMES = {"folded": FOLDED, "unfolded": UNFOLDED}
STABILITY = "free_energy_difference_folded_unfolded_kcal_per_mol"
# Of each kind, seen at the study's temperature in the training replicas as in the held-out one: 30 % statistical error of a rate.
NEEDED_EVENTS = 10


def folding_metrics(
    sources: Sources, compared: Mapping[str, Series], runs: Sequence[Arrays], study: Study
) -> Scores:
    """Populations of both states with intervals, stability, nearest samples, and events of the molecular dynamics.

    Args:
        compared: series `samples`, `training`, `reference`.
        runs: the files of all replicas, the held-out one last.
        study: its `settings.folded` states the distances.

    Returns:
        What is defined: there is no free energy of a state that nothing visits, and no interval of a replica's numbers while events are too few,
        since blocks of its frames then remember one another.
    """
    settings = study.settings.folded
    native = alphas_of(sources.molecule["positions_angstrom"][None], sources.molecule)[0]
    values: Scores = {}
    for name in ("samples", "training", "reference"):
        away = from_native(getattr(sources, name)["positions_angstrom"], sources.molecule, native)
        if name == "samples":
            values |= reached_metrics("folded", away, settings.within_angstrom)
        found = population_metrics(_states(away, settings), study, compared[name])
        values |= found if name == "samples" else suffixed(found, name)
    values |= event_metrics(runs, native, settings)
    if not values["populations_converged"]:
        values = {key: value for key, value in values.items() if not _is_interval_of_replica(key)}
    return {key: value for key, value in values.items() if np.isfinite(value)}


def from_native(
    positions: Float[np.ndarray, "frames atoms 3"], protein: Arrays, native: Float[np.ndarray, "residues 3"]
) -> Float[np.ndarray, " frames"]:
    """C-alpha distance of backbones from the folded structure in Angstrom; NaN where any atom is not finite."""
    finite = np.isfinite(positions).all(axis=(1, 2))
    return np.where(finite, ca_rmsd(alphas_of(positions, protein), native), np.nan)


def population_metrics(found: Int[np.ndarray, " frames"], study: Study, series: Series) -> Scores:
    """Populations of both states and the free energy between them, with intervals; those of independent samples by Wilson."""

    def scores(chosen: np.ndarray) -> Scores:
        """Of the structures with these indices."""
        shares = {f"population_{name}": float((found[chosen] == code).mean()) for name, code in NAMES.items()}
        return shares | {STABILITY: folding.stability_kcal_per_mol(found[chosen], study.temperature_K)}

    values = study.with_intervals(scores, series)
    stability = {STABILITY, f"{STABILITY}_ci_low", f"{STABILITY}_ci_high"}
    if not all(np.isfinite(values[key]) for key in stability):
        values = {key: value for key, value in values.items() if key not in stability}
    if not series.correlated:
        for name, code in NAMES.items():
            values |= share_with_interval(f"population_{name}", found == code)
    return values


def distances(run: Arrays, native: Float[np.ndarray, "residues 3"]) -> Float[np.ndarray, "walkers frames"]:
    """C-alpha distance from the folded structure along each continuous walker; of plain dynamics there is one."""
    if "walkers" in run:
        return folding.along_walkers(run["rmsd_angstrom"], run["walkers"])
    return ca_rmsd(corners_of(run)[:, :, 1], native)[None]


def distances_at_the_temperature(
    run: Arrays, native: Float[np.ndarray, "residues 3"]
) -> Float[np.ndarray, "walkers frames"]:
    """As `distances`, NaN in the rounds that a walker spends at a higher temperature."""
    if "walkers" not in run:
        return distances(run, native)
    away = run["rmsd_angstrom"].copy()
    away[:, 1:] = np.nan
    return folding.along_walkers(away, run["walkers"])


def event_metrics(
    runs: Sequence[Arrays], native: Float[np.ndarray, "residues 3"], settings: Folding
) -> Scores:
    """Events in the training replicas together and in the held-out one, and whether each has enough of them to trust its populations."""
    values, seen = (
        _event_counts([measured(run, native) for run in runs], settings)
        for measured in (distances, distances_at_the_temperature)
    )
    enough = min(seen.values()) >= NEEDED_EVENTS
    values |= {f"{key}_at_the_temperature": count for key, count in seen.items()}
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())
    print(f"{told}: populations of the dynamics {'have' if enough else 'have not'} converged", flush=True)
    return values | {"populations_converged": enough}


def _event_counts(walkers: Sequence[Float[np.ndarray, "_ _"]], settings: Folding) -> Scores:
    """Events of the runs, of which the last one is held out."""
    within, beyond = settings.within_angstrom, settings.unfolded_beyond_angstrom
    counts = [folding.events(own, within, beyond) for own in walkers]
    of_training = Events(sum(own.folding for own in counts[:-1]), sum(own.unfolding for own in counts[:-1]))
    values: Scores = {}
    for name, own in (("training", of_training), ("reference", counts[-1])):
        values |= {f"folding_events_{name}": own.folding, f"unfolding_events_{name}": own.unfolding}
    return values


def _is_interval_of_replica(key: str) -> bool:
    return key.endswith(("_training_ci_low", "_training_ci_high", "_reference_ci_low", "_reference_ci_high"))


def _states(rmsd_angstrom: np.ndarray, settings: Folding) -> Int[np.ndarray, " frames"]:
    return folding.states(rmsd_angstrom, settings.within_angstrom, settings.unfolded_beyond_angstrom)
