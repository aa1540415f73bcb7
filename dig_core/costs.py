"""About how long and how large the jobs of a study are, from its settings alone.

The constants were measured on one of two busy cores of an AMD EPYC server with 22 atoms; they serve to plan (run time
asked of a cluster, the estimate before a run), not to promise. Nothing is computed with them.
"""

from dataclasses import dataclass

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.analytic import AnalyticStudy, AnyStudy
from dig_core.settings.bundled import bundled_share
from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.sampling import score_evaluations
from dig_core.sizes import Structures, atom_count, backbone_bytes, bytes_on_disk, node_count

SECONDS_PER_NS = 25.0  # OpenMM's Reference platform, 22 atoms, 2 fs, Generalized-Born, biased
GENTLE_STEPS = 20  # of a relaxation, before the others
MILLISECONDS_PER_TRAINED_STRUCTURE = 3.8  # forward and backward, 4 layers of width 96
MILLISECONDS_PER_TRAINED_CRYSTAL = 3.0  # 8 atoms, 3 layers of width 64
MILLISECONDS_PER_CRYSTAL = 1.5  # one network evaluation of it
SECONDS_PER_BAND_GAP = 60.0  # of 4 atoms
SECONDS_PER_RELAXATION = 15.0  # of up to 8 atoms with CHGNet, 150 steps at most
GUIDED = 3.0  # times as long, with the gradient of a second network
BYTES_PER_CIF = 1000.0
PROTOTYPES_PER_CRYSTAL = 0.15  # of Carbon-24
SECONDS_PER_COMPARED_CRYSTAL = 0.15  # with some hundred prototypes, at two tolerances
MILLISECONDS_PER_EVALUATION = 1.0  # one network evaluation of one structure
MILLISECONDS_PER_EQUATION = (
    0.12  # one structure in one step of training from energies, six dimensions, free score
)
PIDP_ADSORBATE = (
    8.0  # a structure of PIDP on a surface, in trained ones (adsorption_few_pidp beside adsorption_few)
)
PIDP_STEP = 11.0  # in steps of denoising (tests/benchmarks/pidp_cost.py)
DRAW_EVALUATIONS = 65  # along the probability flow, for one structure
DIVERGENCES_PER_DENSITY = 22  # points along the path where it is found
EVALUATIONS_PER_PASS_BACKWARDS = 2.5  # its cost, in evaluations of the network
EVALUATIONS_PER_PATH_POINT = 400  # halved intervals and double precision counted, at a tolerance of 1e-4
PAIRS_COST_FROM = 60.0  # nodes
SECONDS_PER_TM_SCORE = 0.1  # of some 270 residues
SECONDS_TO_START = 10.0  # Python, torch, OpenMM
BYTES_PER_ATOM_AND_FRAME = 18.0  # float32 in .npz and 16-bit integers in .xtc
BYTES_READ_PER_SECOND = 50e6  # of an xtc by mdtraj on one core, half of what was measured: disks are shared
SECONDS_PER_POTENTIAL = 0.15  # one call of a pretrained network, 17 atoms
CALLS_PER_POINT = 20  # 15 of an atom, 25 of a molecule of two
MILLISECONDS_PER_TRAINED_ADSORBATE = 1.0
MILLISECONDS_PER_ADSORBATE = 0.3
MILLISECONDS_PER_ADSORBATE_DENSITY = 100.0
# Asked of a cluster: a slow node must not end a good job.
SAFETY = 4.0
# Jobs that save before a time limit and go on in the next try ask for a day at most.
LONGEST_MINUTES = 24 * 60
GO_ON = (
    "simulate", "simulate_competitor", "simulate_pretraining", "pretrain", "train", "sample", "sample_shard",
    "sample_crystals", "train_property", "label_known",
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Seconds on one core and megabytes on disk."""

    seconds: float
    megabytes: float


def cost(rule: str, study: AnyStudy | None) -> Cost:
    """Return the estimate for one job of a rule; a figure of several studies (None) costs little."""
    if study is None:
        return Cost(SECONDS_TO_START, 1.0)
    if isinstance(study, AnalyticStudy):
        return energies_only_cost(rule, study)
    if isinstance(study, CarbonStudy):
        return crystals_cost(rule, study)
    if isinstance(study, AdsorptionStudy):
        return adsorption_cost(rule, study)
    if rule in ("simulate", "simulate_competitor"):
        return simulation_cost(study, "1" if rule == "simulate" else "competitor")
    if rule == "train":
        return training_cost(study)
    if rule in ("simulate_pretraining", "pretrain"):
        return exploration_cost(study) if rule == "simulate_pretraining" else pretraining_cost(study)
    if rule in ("sample", "sample_shard"):
        samples = study.sampler.samples // (study.sampler.shards if rule == "sample_shard" else 1)
        evaluations = samples * score_evaluations(study.sampler.kind, study.sampler.steps)
        return _drawing_cost(study, samples, evaluations)
    if rule == "relax":
        return relaxation_cost(study)
    if rule == "estimate_density":
        return density_cost(study)
    if rule in ("interpolate", "interpolate_states"):
        return interpolation_cost(study)
    if rule == "compare_samplers":
        return comparison_cost(study)
    if rule == "read_trajectory":
        return reading_cost(study)
    if rule == "evaluate_states":
        return Cost(SECONDS_TO_START + SECONDS_PER_TM_SCORE * study.sampler.samples, 1.0)
    if rule in ("evaluate", "evaluate_protein"):
        return Cost(SECONDS_TO_START + 0.1 * study.evaluation.bootstrap_repeats, 1.0)
    return Cost(SECONDS_TO_START, 1.0)


def simulation_cost(study: Structures, replica: str) -> Cost:
    """Return the estimate for one run of molecular dynamics."""
    run = study.data.dynamics(replica)
    tempering = getattr(run, "tempering", None)
    time_ns = run.duration_ns * (1 + len(tempering.higher_temperatures_K if tempering else ()))
    time_ns += run.bias.build_duration_ns if run.bias else 0.0
    steps_factor = 2.0 / run.timestep_fs
    frames = 1000.0 * run.duration_ns / run.frame_interval_ps
    seconds = SECONDS_PER_NS * time_ns * steps_factor * (atom_count(study) / 22.0) ** 1.5
    return Cost(SECONDS_TO_START + seconds, 1e-6 * frames * atom_count(study) * BYTES_PER_ATOM_AND_FRAME)


def training_cost(study: Structures) -> Cost:
    """Return the estimate for training the score network."""
    structures = study.training.steps * study.training.batch_size
    seconds = 1e-3 * MILLISECONDS_PER_TRAINED_STRUCTURE * structures * _network_factor(study)
    return Cost(SECONDS_TO_START + seconds, 4e-6 * 4 * _parameters(study))


def reading_cost(study: ProteinStudy) -> Cost:
    """Return the estimate for reading one run of a user's trajectories, all atoms of which are unpacked."""
    runs = [files for target in study.targets.values() for files in target.trajectory.replicas]
    seconds = max(bytes_on_disk(files) for files in runs) / BYTES_READ_PER_SECOND
    kept = max(backbone_bytes(target) for target in study.targets.values())
    return Cost(SECONDS_TO_START + seconds, 1e-6 * kept)


def exploration_cost(study: Structures) -> Cost:
    """Return the estimate for the structures of the pre-training."""
    if study.pretraining is None:
        return Cost(0.0, 0.0)
    own = study.pretraining.structures
    time_ns = own.duration_ns * (1 + len(getattr(own, "higher_temperatures_K", ())))
    time_ns += getattr(own, "build_duration_ns", 0.0)
    frames, atoms = 1000.0 * own.duration_ns / own.frame_interval_ps, atom_count(study)
    hessians = study.pretraining.loss.kind == "forces"
    calls = 500e3 * time_ns * 2.0 / study.data.timestep_fs + frames * 6 * atoms * hessians
    seconds = SECONDS_PER_NS * calls / 500e3 * (atoms / 22.0) ** 1.5
    floats = atoms * 3 + (3 * atoms) ** 2 * hessians
    return Cost(SECONDS_TO_START + seconds, 4e-6 * frames * floats)


def pretraining_cost(study: Structures) -> Cost:
    """Return the estimate for training from energies: a step with the Fokker-Planck equation costs some eleven others."""
    if study.pretraining is None:
        return Cost(0.0, 0.0)
    factor = PIDP_STEP if study.pretraining.loss.kind == "fokker_planck" else 1.0
    structures = factor * study.pretraining.steps * study.pretraining.batch_size
    seconds = 1e-3 * MILLISECONDS_PER_TRAINED_STRUCTURE * structures * _network_factor(study)
    return Cost(SECONDS_TO_START + seconds, 4e-6 * 4 * _parameters(study))


def relaxation_cost(study: Structures) -> Cost:
    """Return the estimate for the relaxation of the samples."""
    relaxation, samples = study.sampler.relaxation, study.sampler.samples
    if relaxation is None:
        return Cost(0.0, 0.0)
    steps = samples * (relaxation.steps + GENTLE_STEPS)
    seconds = SECONDS_PER_NS * 2e-6 * steps * (atom_count(study) / 22.0) ** 1.5
    return Cost(SECONDS_TO_START + seconds, 1e-6 * samples * atom_count(study) * BYTES_PER_ATOM_AND_FRAME)


def density_cost(study: Structures) -> Cost:
    """Return the estimate for the log densities; an exact divergence goes backwards once per dimension."""
    density = study.density
    if density is None:
        return Cost(0.0, 0.0)
    exact = density.divergence.kind == "exact"
    backwards = 3 * (atom_count(study) - 1) if exact else density.divergence.probes
    structures = density.structures + density.reference_structures
    evaluations = DRAW_EVALUATIONS * density.draws
    passes = DIVERGENCES_PER_DENSITY * backwards * structures
    evaluations += round(EVALUATIONS_PER_PASS_BACKWARDS * passes)
    return _drawing_cost(study, density.draws + structures, evaluations)


def interpolation_cost(study: Structures) -> Cost:
    """Return the estimate for paths between two states; a step of the flow takes six evaluations, of order five."""
    interpolation = study.interpolation
    if interpolation is None:
        return Cost(0.0, 0.0)
    points = getattr(interpolation, "paths", 1) * interpolation.points
    evaluations = round(EVALUATIONS_PER_PATH_POINT * points * (1.0e-4 / interpolation.tolerance) ** 0.2)
    return _drawing_cost(study, 2 * points, evaluations)


def comparison_cost(study: Structures) -> Cost:
    """Return the estimate for the comparison of solvers."""
    comparison = study.evaluation.sampler_comparison
    if comparison is None:
        return Cost(0.0, 0.0)
    counts = [(kind, steps) for kind, numbers in comparison.solvers.items() for steps in numbers]
    evaluations = comparison.samples * sum(score_evaluations(kind, steps) for kind, steps in counts)
    return _drawing_cost(study, comparison.samples * len(counts), evaluations)


def energies_only_cost(rule: str, study: AnalyticStudy) -> Cost:
    """Return the estimate for a job of a study of known densities."""
    if rule != "pretrain_density":
        return Cost(6 * SECONDS_TO_START, 1.0)
    structures = max(study.pretraining.steps.values()) * study.pretraining.batch_size
    return Cost(2 * SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_EQUATION * structures, 1.0)


def crystals_cost(rule: str, study: CarbonStudy) -> Cost:
    """Return the estimate for a job of a study of crystals."""
    factor = study.data.largest_atoms / 8.0 * study.model.layers * study.model.width / 192.0
    samples, megabytes = study.sampler.samples, 1e-3 * study.data.largest_atoms * study.sampler.samples
    if rule in ("train", "train_property") and (own := study if rule == "train" else study.property):
        crystals = own.training.steps * own.training.batch_size
        return Cost(SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_TRAINED_CRYSTAL * factor * crystals, 10.0)
    if rule == "sample_crystals":
        sampler = study.sampler
        evaluations = samples * score_evaluations(sampler.kind, sampler.steps, sampler.correctors)
        factor *= GUIDED if study.property else 1.0
        return Cost(SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_CRYSTAL * factor * evaluations, megabytes)
    if rule == "relax_crystals" and study.relaxation:
        return Cost(SECONDS_TO_START + SECONDS_PER_RELAXATION * study.relaxation.samples, 0.1)
    if rule == "search_crystals" and (search := study.data.search):
        return Cost(SECONDS_TO_START + SECONDS_PER_RELAXATION * search.starts / search.jobs, 0.1)
    if rule == "prepare_crystals":
        return Cost(SECONDS_TO_START + SECONDS_PER_COMPARED_CRYSTAL * _crystals(study), 1.0)
    if rule in ("label_crystal", "label_relaxed"):
        return Cost(SECONDS_PER_BAND_GAP * (study.data.largest_atoms / 4.0) ** 3, 0.1)
    if rule == "label_known" and (labels := study.property and study.property.labels):
        prototypes = PROTOTYPES_PER_CRYSTAL * _crystals(study) / (labels.known or 1)
        return Cost(prototypes * cost("label_crystal", study).seconds, 0.1)
    if rule == "evaluate_crystals":
        return Cost(SECONDS_TO_START + SECONDS_PER_COMPARED_CRYSTAL * 4 * samples, megabytes)
    return Cost(SECONDS_TO_START, 1.0)


def adsorption_cost(rule: str, study: AdsorptionStudy) -> Cost:
    """Return the estimate for a job of a study of adsorption."""
    factor = (study.model.layers + 1) * study.model.width / 256.0
    found, total = bundled_share(study)
    if rule in ("build_surface", "map_energies") and found == total:
        return Cost(SECONDS_TO_START, 0.1)
    if rule == "build_surface":
        return Cost(SECONDS_TO_START + SECONDS_PER_POTENTIAL * study.data.steps / 4, 0.1)
    if rule == "map_energies":  # of a surface without symmetry
        return Cost(SECONDS_TO_START + CALLS_PER_POINT * SECONDS_PER_POTENTIAL * study.data.points**2, 0.1)
    if rule == "train":
        structures = study.training.steps * study.training.batch_size
        return Cost(SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_TRAINED_ADSORBATE * factor * structures, 10.0)
    if rule == "pretrain" and study.pretraining:
        structures = PIDP_ADSORBATE * study.pretraining.steps * study.pretraining.batch_size
        return Cost(SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_TRAINED_ADSORBATE * factor * structures, 10.0)
    if rule == "sample_adsorbates":
        sampler = study.sampler
        evaluations = sampler.samples * score_evaluations(sampler.kind, sampler.steps)
        return Cost(SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_ADSORBATE * factor * evaluations, 1.0)
    if rule == "map_density" and study.density:  # without symmetry, as the map of energies
        densities = study.data.points**2 * study.density.heights
        return Cost(SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_ADSORBATE_DENSITY * factor * densities, 0.1)
    return Cost(SECONDS_TO_START, 1.0)


def _crystals(study: CarbonStudy) -> float:
    """About how many a study knows: those of its files, and at most those of its search."""
    searched = study.data.search.starts if study.data.search else 0
    return bytes_on_disk(study.data.files) / BYTES_PER_CIF + searched


def runtime_minutes(rule: str, study: AnyStudy) -> int:
    """Return the run time to ask of a cluster, in whole minutes, with a margin for slow nodes; of a GPU the constants know nothing."""
    minutes = 10 + round(SAFETY * cost(rule, study).seconds / 60.0)
    return min(minutes, LONGEST_MINUTES) if rule in GO_ON else minutes


def plan(jobs: list[tuple[str, str, Cost]], cores: int) -> tuple[float, float]:
    """Return about how many seconds the jobs take on so many cores, and how many megabytes they leave.

    `jobs` holds (study, rule, cost) each. Jobs of one rule run side by side, rules of one study one after the
    other: it takes at least the longest chain, and at least the sum over the cores.
    """
    longest: dict[str, dict[str, float]] = {}
    for study, rule, job in jobs:
        rules = longest.setdefault(study, {})
        rules[rule] = max(rules.get(rule, 0.0), job.seconds)
    chain = max((sum(rules.values()) for rules in longest.values()), default=0.0)
    total = sum(job.seconds for _, _, job in jobs)
    return max(chain, total / max(cores, 1)), sum(job.megabytes for _, _, job in jobs)


def _drawing_cost(study: Structures, structures: int, evaluations: int) -> Cost:
    seconds = 1e-3 * MILLISECONDS_PER_EVALUATION * evaluations * _network_factor(study)
    return Cost(SECONDS_TO_START + seconds, 1e-6 * structures * atom_count(study) * BYTES_PER_ATOM_AND_FRAME)


def _network_factor(study: Structures) -> float:
    size = study.model.layers * study.model.width**2 / (4 * 96**2)
    # All pairs of residues of a long chain cost more than the residues themselves.
    return max(size, 0.1) * max(node_count(study), 4.0) / 22.0 * max(1.0, node_count(study) / PAIRS_COST_FROM)


def _parameters(study: Structures) -> float:
    return 12.0 * study.model.layers * study.model.width**2
