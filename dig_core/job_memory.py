"""How much memory to ask for the jobs of a study: libraries, the structures that a job holds, and the batch of a network."""

from dig_core.settings.adsorption import AdsorptionStudy
from dig_core.settings.analytic import AnalyticStudy, AnyStudy
from dig_core.settings.carbon import CarbonStudy
from dig_core.settings.protein import ProteinStudy
from dig_core.sizes import Structures, atom_count, backbone_bytes, node_count, trajectory_bytes

LIBRARIES_MB = 2000  # Python, torch, OpenMM
BYTES_PER_POSITION = 12.0  # of an atom, float32
COPIES = 8  # of frames and samples, while they are read, weighed, compared
HOLD_FRAMES = (
    "simulate", "simulate_competitor", "prepare", "prepare_reference", "prepare_floor", "train", "interpolate", "evaluate",
    "evaluate_protein", "estimate_density", "condense_reference", "condense_frames", "read_trajectory",
)  # fmt: skip
HOLD_SAMPLES = (
    "sample", "sample_shard", "gather_samples", "relax", "evaluate", "evaluate_protein", "evaluate_states",
)  # fmt: skip


def memory_MB(rule: str, study: AnyStudy) -> int:
    """Return the memory to ask of a cluster in MB: libraries, the structures that a job holds, and the batch of a network."""
    if isinstance(study, AnalyticStudy | AdsorptionStudy):
        return LIBRARIES_MB
    if isinstance(study, CarbonStudy):
        return LIBRARIES_MB + round(1e-6 * _bytes_of_crystals(rule, study))
    return LIBRARIES_MB + round(1e-6 * (_bytes_of_structures(rule, study) + _bytes_of_a_batch(rule, study)))


def _bytes_of_crystals(rule: str, study: CarbonStudy) -> float:
    """Pairs with all images in cells that noise has made up to three times as dense, sums over images, and what each layer makes of them."""
    sizes = {"train": study.training.batch_size, "sample_crystals": study.sampler.batch_size}
    if study.property:
        sizes["train_property"] = study.property.training.batch_size
    # Guidance keeps what its gradient needs.
    keeps = rule in ("train", "train_property") or study.property is not None
    layers, atoms, model = study.model.layers if keeps else 1, study.data.largest_atoms, study.model
    images = 3 * 4.2 * model.cutoff_angstrom**3 / model.volume_per_atom_angstrom3
    floats = atoms * images * 2 * 10 * model.functions + atoms**2 * (
        10 * model.functions + 11 * model.width * layers
    )
    return 4.0 * sizes.get(rule, 0) * floats


def _bytes_of_structures(rule: str, study: Structures) -> float:
    """Of frames and samples, with the copies that are made of them."""
    atoms, data = atom_count(study), study.data
    trained = [own for own in study.targets.values() if not getattr(own, "held_out", False)]
    joins = rule in ("prepare", "train")
    if data.source == "simulate":
        replica = 1000.0 * data.duration_ns / data.frame_interval_ps * atoms * BYTES_PER_POSITION
        frames = replica * (1 if rule == "simulate" else data.replicas)
    elif data.source == "structures":
        frames = max(len(target.states) for target in study.targets.values()) * atoms * BYTES_PER_POSITION
    elif isinstance(study, ProteinStudy):
        sizes = [backbone_bytes(own) for own in (trained if joins else study.targets.values())]
        frames = sum(sizes) / max(1, len(trained)) if joins else max(sizes)
    else:
        frames = trajectory_bytes(data.files)
    frames *= len(trained) if joins else 1
    samples = study.sampler.samples * atoms * BYTES_PER_POSITION
    return COPIES * (frames * (rule in HOLD_FRAMES) + samples * (rule in HOLD_SAMPLES))


def _bytes_of_a_batch(rule: str, study: Structures) -> float:
    if rule not in ("train", "pretrain", "sample", "interpolate", "interpolate_states", "compare_samplers"):
        return 0.0
    draws = rule in ("sample", "compare_samplers")
    batch = study.sampler.batch_size if draws else study.training.batch_size
    if rule == "interpolate_states" and study.interpolation:
        batch = study.interpolation.points
    kept_layers = 1 if draws or rule == "interpolate_states" else study.model.layers
    # Attention scores per head and some twenty activations per atom or residue, each a float32.
    floats = node_count(study) * (study.model.heads * node_count(study) * 3 + 20 * study.model.width)
    return 4.0 * batch * kept_layers * floats
