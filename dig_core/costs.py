"""About how long and how large the jobs of a study are, from its settings alone.

The constants were measured on one of two busy cores of an AMD EPYC server with 22 atoms; they serve to plan (run time
asked of a cluster, the estimate before a run), not to promise. Nothing is computed with them.
"""

import gzip
import itertools
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dig_core.settings.analytic import AnalyticStudy, AnyStudy
from dig_core.settings.data import Target
from dig_core.settings.protein import ProteinStudy
from dig_core.settings.protein_targets import ProteinTarget
from dig_core.settings.study import Study

# A network that draws structures, trained on frames.
Structures = Study | ProteinStudy
SECONDS_PER_NS = 25.0  # OpenMM's Reference platform, 22 atoms, 2 fs, Generalized-Born, biased
GENTLE_STEPS = 20  # of a relaxation, before the others
MILLISECONDS_PER_TRAINED_STRUCTURE = 3.8  # forward and backward, 4 layers of width 96
MILLISECONDS_PER_EVALUATION = 1.0  # one network evaluation of one structure
MILLISECONDS_PER_EQUATION = (
    0.12  # one structure in one step of training from energies, six dimensions, free score
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
LIBRARIES_MB = 2000  # Python, torch, OpenMM
BYTES_PER_POSITION = 12.0  # of an atom, float32
COPIES = 8  # of frames and samples, while they are read, weighed, compared
COMPRESSION = 4.0  # of a trajectory on disk (xtc) against float32
HOLD_FRAMES = (
    "simulate", "simulate_competitor", "prepare", "prepare_reference", "prepare_floor", "train", "interpolate", "evaluate",
    "evaluate_protein", "estimate_density", "condense_reference", "condense_frames", "read_trajectory",
)  # fmt: skip
HOLD_SAMPLES = (
    "sample", "sample_shard", "gather_samples", "relax", "evaluate", "evaluate_protein", "evaluate_states",
)  # fmt: skip
# Of residues and caps with their hydrogens, at neutral pH; any other residue counts as an average one.
RESIDUE_ATOMS = {
    "ACE": 6, "NME": 6, "NH2": 3, "GLY": 7, "ALA": 10, "CYX": 10, "SER": 11, "CYS": 11, "ASP": 12, "ASN": 14, "THR": 14,
    "PRO": 14, "GLU": 15, "VAL": 16, "GLN": 17, "MET": 17, "HIS": 17, "ILE": 19, "LEU": 19, "PHE": 20, "TYR": 21,
    "LYS": 22, "TRP": 24, "ARG": 24,
}  # fmt: skip
AVERAGE_RESIDUE = 16
BACKBONE_ATOMS = 3  # N, CA and C
GZIP = b"\x1f\x8b"
BYTES_READ_PER_SECOND = 50e6  # of an xtc by mdtraj on one core, half of what was measured: disks are shared
UNKNOWN_ATOMS = 3000  # of a file that is not there yet
# Asked of a cluster: a slow node must not end a good job.
SAFETY = 4.0
# Jobs that save before a time limit and go on in the next try ask for a day at most.
LONGEST_MINUTES = 24 * 60
GO_ON = (
    "simulate", "simulate_competitor", "simulate_pretraining", "pretrain", "train", "sample", "sample_shard",
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
    if rule in ("simulate", "simulate_competitor"):
        return simulation_cost(study, "1" if rule == "simulate" else "competitor")
    if rule == "train":
        return training_cost(study)
    if rule in ("simulate_pretraining", "pretrain"):
        return exploration_cost(study) if rule == "simulate_pretraining" else pretraining_cost(study)
    if rule in ("sample", "sample_shard"):
        samples = study.sampler.samples // (study.sampler.shards if rule == "sample_shard" else 1)
        evaluations = samples * _evaluations(study.sampler.kind, study.sampler.steps)
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
    seconds = SECONDS_PER_NS * time_ns * steps_factor * (_atoms(study) / 22.0) ** 1.5
    return Cost(SECONDS_TO_START + seconds, 1e-6 * frames * _atoms(study) * BYTES_PER_ATOM_AND_FRAME)


def training_cost(study: Structures) -> Cost:
    """Return the estimate for training the score network."""
    structures = study.training.steps * study.training.batch_size
    seconds = 1e-3 * MILLISECONDS_PER_TRAINED_STRUCTURE * structures * _network_factor(study)
    return Cost(SECONDS_TO_START + seconds, 4e-6 * 4 * _parameters(study))


def reading_cost(study: ProteinStudy) -> Cost:
    """Return the estimate for reading one run of a user's trajectories, all atoms of which are unpacked."""
    runs = [files for target in study.targets.values() for files in target.trajectory.replicas]
    seconds = max(_bytes_of_files(files) for files in runs) / COMPRESSION / BYTES_READ_PER_SECOND
    kept = max(_bytes_of_trajectory(target) for target in study.targets.values())
    return Cost(SECONDS_TO_START + seconds, 1e-6 * kept)


def exploration_cost(study: Structures) -> Cost:
    """Return the estimate for the structures of the pre-training."""
    if study.pretraining is None:
        return Cost(0.0, 0.0)
    own = study.pretraining.structures
    time_ns = own.duration_ns * (1 + len(getattr(own, "higher_temperatures_K", ())))
    time_ns += getattr(own, "build_duration_ns", 0.0)
    frames, atoms = 1000.0 * own.duration_ns / own.frame_interval_ps, _atoms(study)
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
    seconds = SECONDS_PER_NS * 2e-6 * steps * (_atoms(study) / 22.0) ** 1.5
    return Cost(SECONDS_TO_START + seconds, 1e-6 * samples * _atoms(study) * BYTES_PER_ATOM_AND_FRAME)


def density_cost(study: Structures) -> Cost:
    """Return the estimate for the log densities; an exact divergence goes backwards once per dimension."""
    density = study.density
    if density is None:
        return Cost(0.0, 0.0)
    exact = density.divergence.kind == "exact"
    backwards = 3 * (_atoms(study) - 1) if exact else density.divergence.probes
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
    evaluations = comparison.samples * sum(_evaluations(kind, steps) for kind, steps in counts)
    return _drawing_cost(study, comparison.samples * len(counts), evaluations)


def energies_only_cost(rule: str, study: AnalyticStudy) -> Cost:
    """Return the estimate for a job of a study of known densities."""
    if rule != "pretrain_density":
        return Cost(6 * SECONDS_TO_START, 1.0)
    structures = max(study.pretraining.steps.values()) * study.pretraining.batch_size
    return Cost(2 * SECONDS_TO_START + 1e-3 * MILLISECONDS_PER_EQUATION * structures, 1.0)


def runtime_minutes(rule: str, study: AnyStudy) -> int:
    """Return the run time to ask of a cluster, in whole minutes, with a margin for slow nodes; of a GPU the constants know nothing."""
    minutes = 10 + round(SAFETY * cost(rule, study).seconds / 60.0)
    return min(minutes, LONGEST_MINUTES) if rule in GO_ON else minutes


def memory_MB(rule: str, study: AnyStudy) -> int:
    """Return the memory to ask of a cluster in MB: libraries, the structures that a job holds, and the batch of a network."""
    if isinstance(study, AnalyticStudy):
        return LIBRARIES_MB
    return LIBRARIES_MB + round(1e-6 * (_bytes_of_structures(rule, study) + _bytes_of_a_batch(rule, study)))


def _bytes_of_structures(rule: str, study: Structures) -> float:
    """Of frames and samples, with the copies that are made of them."""
    atoms, data = _atoms(study), study.data
    trained = [own for own in study.targets.values() if not getattr(own, "held_out", False)]
    joins = rule in ("prepare", "train")
    if data.source == "simulate":
        replica = 1000.0 * data.duration_ns / data.frame_interval_ps * atoms * BYTES_PER_POSITION
        frames = replica * (1 if rule == "simulate" else data.replicas)
    elif data.source == "structures":
        frames = max(len(target.states) for target in study.targets.values()) * atoms * BYTES_PER_POSITION
    elif isinstance(study, ProteinStudy):
        sizes = [_bytes_of_trajectory(own) for own in (trained if joins else study.targets.values())]
        frames = sum(sizes) / max(1, len(trained)) if joins else max(sizes)
    else:
        frames = _bytes_of_files(data.files)
    frames *= len(trained) if joins else 1
    samples = study.sampler.samples * atoms * BYTES_PER_POSITION
    return COPIES * (frames * (rule in HOLD_FRAMES) + samples * (rule in HOLD_SAMPLES))


def _bytes_of_trajectory(target: ProteinTarget) -> float:
    """Of the frames that are kept, three atoms of each residue; water in the files counts as residues."""
    files = itertools.chain(*target.trajectory.replicas)
    return _bytes_of_files(files) * BACKBONE_ATOMS / AVERAGE_RESIDUE / target.trajectory.stride


def _bytes_of_files(files: Iterable[str]) -> float:
    """Of trajectories, read whole."""
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file()) * COMPRESSION


def _bytes_of_a_batch(rule: str, study: Structures) -> float:
    if rule not in ("train", "pretrain", "sample", "interpolate", "interpolate_states", "compare_samplers"):
        return 0.0
    draws = rule in ("sample", "compare_samplers")
    batch = study.sampler.batch_size if draws else study.training.batch_size
    if rule == "interpolate_states" and study.interpolation:
        batch = study.interpolation.points
    kept_layers = 1 if draws or rule == "interpolate_states" else study.model.layers
    # Attention scores per head and some twenty activations per atom or residue, each a float32.
    floats = _nodes(study) * (study.model.heads * _nodes(study) * 3 + 20 * study.model.width)
    return 4.0 * batch * kept_layers * floats


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
    return Cost(SECONDS_TO_START + seconds, 1e-6 * structures * _atoms(study) * BYTES_PER_ATOM_AND_FRAME)


def _evaluations(solver: str, steps: int) -> int:
    # The probability-flow solver is Heun's method: two evaluations a step.
    return 2 * steps - 1 if solver == "probability_flow" else steps


def _network_factor(study: Structures) -> float:
    size = study.model.layers * study.model.width**2 / (4 * 96**2)
    # All pairs of residues of a long chain cost more than the residues themselves.
    return max(size, 0.1) * max(_nodes(study), 4.0) / 22.0 * max(1.0, _nodes(study) / PAIRS_COST_FROM)


def _parameters(study: Structures) -> float:
    return 12.0 * study.model.layers * study.model.width**2


def _nodes(study: Structures) -> float:
    """Of the network: atoms, or residues. A residue costs a network over frames about what an atom costs one over atoms."""
    return _atoms(study) / (AVERAGE_RESIDUE if study.kind == "protein" else 1)


def _atoms(study: Structures) -> int:
    return max(_target_atoms(target) for target in study.targets.values())


def _target_atoms(target: Target | ProteinTarget) -> int:
    """The number of atoms, guessed without reading a structure where there is no sequence."""
    if target.sequence and "-" not in target.sequence and isinstance(target, ProteinTarget):
        return AVERAGE_RESIDUE * len(target.sequence)
    if target.sequence:
        return sum(RESIDUE_ATOMS.get(name, AVERAGE_RESIDUE) for name in target.sequence.split("-"))
    if getattr(target, "smiles", None):
        return 2 * sum(letter.isalpha() for letter in target.smiles)
    if getattr(target, "states", None):
        return max(_file_residues(Path(state.pdb)) for state in target.states.values()) * AVERAGE_RESIDUE
    if target.pdb and Path(target.pdb).is_file():
        return _atom_lines(Path(target.pdb), Path(target.pdb).stat().st_mtime_ns)
    if getattr(target, "fasta", None) and Path(target.fasta).is_file():
        letters = sum(len(line.strip()) for line in _lines(Path(target.fasta)) if not line.startswith(b">"))
        return AVERAGE_RESIDUE * letters
    return UNKNOWN_ATOMS


def _file_residues(path: Path) -> int:
    """Residues of a structure file, from the lines of CA in all of its chains."""
    if not path.is_file():
        return UNKNOWN_ATOMS // AVERAGE_RESIDUE
    return _alpha_lines(path, path.stat().st_mtime_ns)


@cache  # each of many rules asks again
def _alpha_lines(path: Path, changed: int) -> int:
    return sum(line.startswith(b"ATOM") and b" CA " in line for line in _lines(path))


@cache
def _atom_lines(path: Path, changed: int) -> int:
    return sum(line.startswith((b"ATOM", b"HETATM")) for line in _lines(path))


def _lines(path: Path) -> list[bytes]:
    content = path.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):  # a damaged file is told of by the rule that reads it
            return []
    return content.splitlines()
