"""Settings and paths for all rules; nothing here computes anything."""

import os
import re
import sys
from functools import cache
from pathlib import Path

# Scripts import dig_core from this checkout, whatever else is installed.
sys.path.insert(0, workflow.basedir)
os.environ.update(
    PYTHONPATH=f"{workflow.basedir}{os.pathsep}{os.getenv('PYTHONPATH', '')}"
)

from dig_core import costs
from dig_core.config import plain, read_config, seeded_name
from dig_core.settings.validation import ConfigError


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


try:
    CONFIG = read_config(
        config, os.path.relpath(Path(workflow.basedir, "config", "config.yaml"))
    )
except ConfigError as error:
    sys.exit(f"error: {error}")

SETTINGS = {name: plain(study) for name, study in CONFIG.studies.items()}


wildcard_constraints:
    system="|".join(CONFIG.studies),
    # Those of studies with `targets_per_job` have rules of their own (several.smk).
    target="|".join(
        {
            target
            for study in CONFIG.studies.values()
            if getattr(study, "targets_per_job", 1) == 1
            for target in study.targets
        }
    )
    or r"(?!)",
    replica=r"[1-9]\d*",
    shard=r"[1-9]\d*",
    shards=r"[1-9]\d*",
    form="potential|score",
    seed=r"[1-9]\d*",


def of_kind(kind):
    """Return the pattern of the studies of one kind; one that nothing matches where there is none."""
    return (
        "|".join(n for n, study in CONFIG.studies.items() if study.kind == kind)
        or r"(?!)"
    )


def with_shards(several):
    """Return the pattern of the studies whose targets are drawn by several jobs, or by one."""
    return (
        "|".join(
            name
            for name, study in CONFIG.studies.items()
            if study.kind == "molecule" and (study.sampler.shards > 1) == several
        )
        or r"(?!)"
    )


def setting(*keys):
    """Return a params function: that part of the study's settings, as plain values; None where it is absent."""

    def part(wildcards):
        value = SETTINGS[wildcards.system]
        for key in keys:
            value = (value or {}).get(key.format(**wildcards))
        return value

    return part


def dynamics_settings(wildcards, replica=None):
    """Settings of one simulation only: a longer competitor must not repeat the replicas."""
    data = CONFIG.studies[wildcards.system].data
    return plain(data.dynamics(replica or wildcards.replica))


def building_settings(wildcards):
    """What a target's topology follows from: the force field, and the user's frames where there are some."""
    data = SETTINGS[wildcards.system]["data"]
    keys = ("source", "force_field", "topology", "files", "selection")
    return {key: data[key] for key in keys if key in data}


def reading_settings(wildcards):
    """How frames are read and split; what concerns energies or simulations is left out."""
    keys = (
        "source",
        "stride",
        "first_frame",
        "held_out_fraction",
        "frame_interval_ps",
        "weights",
        "selection",
        "topology",
        "files",
    )
    data = SETTINGS[wildcards.system]["data"]
    if data["source"] == "simulate":
        return {"source": "simulate"}
    return {key: data[key] for key in keys}


def drawing_settings(wildcards):
    """Settings of the sampler without the relaxation of what it draws, which has its own rule, and without the shards."""
    values = dict(SETTINGS[wildcards.system]["sampler"])
    values.pop("relaxation")
    values.pop("shards")
    return values


def shard_settings(wildcards):
    """Settings of the sampler for one shard."""
    part = int(wildcards.shard) - 1, int(wildcards.shards)
    return {**drawing_settings(wildcards), "part": part}


def shard_files(wildcards):
    """The shards of a target, in order."""
    shards = CONFIG.studies[wildcards.system].sampler.shards
    folder = f"results/{wildcards.system}/{wildcards.target}/samples.shards"
    return [f"{folder}/{shard}-of-{shards}.npz" for shard in range(1, shards + 1)]


def relaxation_settings(wildcards):
    """Settings of the relaxation with the study's forces, and its temperature unless stated; None: no relaxation."""
    study = SETTINGS[wildcards.system]
    values, data = study["sampler"]["relaxation"], study["data"]
    if values is None:
        return None
    taken = {key: data[key] for key in ("force_field", "platform")}
    temperature = values["temperature_K"] or study["temperature_K"]
    return {**values, **taken, "temperature_K": temperature}


def interpolation_settings(wildcards):
    """Settings of the interpolation with the regions of its two states and the bins in which ends are chosen."""
    study = SETTINGS[wildcards.system]
    values, evaluation = study["interpolation"], study["evaluation"]
    if values is None:
        return None
    names = values["start_state"], values["end_state"]
    regions = {name: evaluation["states"][name] for name in names}
    return {**values, "regions": regions, "bins": evaluation["bins"]}


def evaluation_settings(wildcards):
    """Settings of the evaluation without the comparison of solvers, which has its own rule."""
    values = dict(SETTINGS[wildcards.system]["evaluation"])
    values.pop("sampler_comparison")
    return values


# The same for all targets and replicas of a study, of which there may be thousands.
@cache
def estimated(quantity, rule_name, system):
    """Return an estimate of `dig_core.costs` for a job of a rule."""
    return quantity(rule_name, CONFIG.studies.get(system))


def minutes(rule_name):
    """Return a resource function: run time in minutes, estimated from the settings."""
    return lambda wildcards: estimated(
        costs.runtime_minutes, rule_name, wildcards.system
    )


def memory(rule_name):
    """Return a resource function: memory in MB, estimated from the settings; retries ask for two and three times as much."""
    # Not ever more: a long training is sent again at every time limit, and no node has ten times the memory.
    return lambda wildcards, attempt: min(attempt, 3) * estimated(
        costs.memory_MB, rule_name, wildcards.system
    )


def library(*names):
    """Return library files as inputs of a cheap rule, so that it runs again when they are edited."""
    folder = Path(workflow.basedir, "dig_core")
    # Relative, so that moving the checkout does not look like a change.
    return [os.path.relpath(folder / name) for name in names]


def simulated(study):
    """Whether the workflow makes the study's frames itself."""
    return CONFIG.studies[study].data.source == "simulate"


def has_energies(study):
    """Whether energies can be computed: a force field is given."""
    return bool(CONFIG.studies[study].data.force_field)


def target_sources(wildcards):
    """Files that describe a target: its PDB file, or the topology of the user's trajectory."""
    study = CONFIG.studies[wildcards.system]
    own = (
        []
        if simulated(wildcards.system)
        else [study.data.topology, study.data.files[0]]
    )
    return [file for file in [study.targets[wildcards.target].pdb, *own] if file]


def replica_files(system, target, held_out):
    """Frames that train, or those that are held out: simulated replicas, or the user's files."""
    data = CONFIG.studies[system].data
    if simulated(system):
        folder = f"results/{data.simulations_of or system}/{target}/simulation"
        files = [f"{folder}/{replica}.npz" for replica in range(1, data.replicas + 1)]
    else:
        files = list(data.files)
    # One file alone gives both: its last part is held out.
    return files[-1:] if held_out else files[:-1] or files


def training_files(wildcards):
    """Frames of all targets that train the network."""
    targets = CONFIG.studies[wildcards.system].targets
    return [
        f for t in targets for f in replica_files(wildcards.system, t, held_out=False)
    ]


def held_out_files(wildcards):
    """Frames of one target that the network never sees."""
    return replica_files(wildcards.system, wildcards.target, held_out=True)


def weight_files(held_out):
    """Return an input function: weights of the user's frames, in the order of their files."""

    def files(wildcards):
        weights = list(
            getattr(CONFIG.studies[wildcards.system].data, "weights", None) or []
        )
        return weights[-1:] if held_out else weights[:-1] or weights

    return files


def of_targets(pattern):
    """Return an input function: the file of every target of the study."""

    def files(wildcards):
        targets = CONFIG.studies[wildcards.system].targets
        return expand(pattern, system=wildcards.system, target=targets)

    return files


def competitor_file(wildcards):
    """Plain dynamics at equal cost, where the study asks for it."""
    if CONFIG.studies[wildcards.system].data.competitor_duration_ns is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/simulation/competitor.npz"


def pretrained_file(wildcards):
    """The weights that the training starts from, where the study asks for pre-training."""
    if CONFIG.studies[wildcards.system].pretraining is None:
        return []
    return f"results/{wildcards.system}/model/pretrained.pt"


def kept_files(wildcards):
    """Weighted structures of the pre-training, which stay in the mix: of every target."""
    pretraining = CONFIG.studies[wildcards.system].pretraining
    if pretraining is None or pretraining.loss.kind != "denoising":
        return []
    return of_targets("results/{system}/{target}/simulation/pretraining.npz")(wildcards)


def exploration_file(wildcards):
    """Weighted structures of the pre-training of one target, where there are any."""
    if not kept_files(wildcards):
        return []
    return f"results/{wildcards.system}/{wildcards.target}/simulation/pretraining.npz"


def pretraining_record(wildcards):
    """What the pre-training took, where the study asks for it."""
    if CONFIG.studies[wildcards.system].pretraining is None:
        return []
    return f"results/{wildcards.system}/model/pretraining.json"


def force_settings(wildcards):
    """The force field whose forces on the training frames are wanted; None where no training asks for them."""
    study = SETTINGS[wildcards.system]
    if study["training"]["control_variate"] is None:
        return None
    return {
        "force_field_files": study["data"]["force_field"],
        "platform": study["data"]["platform"],
    }


def exploration_settings(wildcards):
    """What the structures of the pre-training depend on: not on how they are learned from."""
    study = SETTINGS[wildcards.system]
    if study["pretraining"] is None:
        return None
    names = ("force_field", "platform", "timestep_fs", "friction_per_ps")
    names += ("hydrogen_mass_amu", "checkpoint_interval_ps", "bias")
    pretraining = study["pretraining"]
    asked = {key: pretraining[key] for key in ("structures", "seed")}
    return {
        "data": {name: study["data"][name] for name in names},
        "pretraining": {**asked, "loss": {"kind": pretraining["loss"]["kind"]}},
        "temperature_K": study["temperature_K"],
        "control_variate": study["training"]["control_variate"],
    }


def relaxed_file(wildcards):
    """The relaxed samples, where the study asks for them."""
    if CONFIG.studies[wildcards.system].sampler.relaxation is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/relaxed.npz"


def density_file(wildcards):
    """The log densities, where the study asks for them."""
    if CONFIG.studies[wildcards.system].density is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/log_density.npz"


def path_file(wildcards):
    """Paths between two states, where the study asks for them."""
    if CONFIG.studies[wildcards.system].interpolation is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/path.npz"


def tight_reference_file(wildcards):
    """The bundled histogram, where the study names one."""
    name = CONFIG.studies[wildcards.system].data.tight_reference
    return library(f"data/bundled/{name}.npz") if name else []


def figure_files(name, folder="results/figures"):
    """The three files of a figure: picture, vector graphics, and the numbers it shows."""
    return [f"{folder}/{name}.{suffix}" for suffix in ("png", "pdf", "parquet")]


def form_settings(wildcards):
    """Settings of the training from energies, with the steps of one form: those of the other do not matter."""
    values = SETTINGS[wildcards.system]["pretraining"]
    return {**values, "steps": values["steps"][wildcards.form]}


def density_runs(wildcards):
    """Form and seed of every training of a study of known densities."""
    study = CONFIG.studies[wildcards.system]
    return [[form, seed] for form in study.forms for seed in study.seeds]


def density_samples(wildcards):
    """Samples of every training on a known density."""
    folder = f"results/{wildcards.system}/{wildcards.target}"
    return [f"{folder}/{form}_{seed}.npz" for form, seed in density_runs(wildcards)]


def several_targets():
    """Study, number and targets of every job for several targets."""
    found = []
    for name, study in CONFIG.studies.items():
        size, targets = getattr(study, "targets_per_job", 1), list(study.targets)
        if size > 1:
            chunks = [targets[k : k + size] for k in range(0, len(targets), size)]
            found += [(name, k, chunk) for k, chunk in enumerate(chunks, start=1)]
    return found


class Values(dict):
    """Wildcards as functions of a rule see them, outside of a rule that has some."""

    __getattr__ = dict.__getitem__


def wildcards_of(rule_name, system, targets):
    """The jobs of a rule for these targets: one each, and one for each replica where it simulates them."""
    replicas = range(1, CONFIG.studies[system].data.replicas + 1)
    names = [{"replica": str(k)} for k in replicas] if rule_name == "simulate" else [{}]
    return [
        Values({"system": system, "target": target, **own})
        for target in targets
        for own in names
    ]


def flat(values):
    """Strings, and the strings of lists, in one list."""
    return [
        x
        for value in values
        for x in ([value] if isinstance(value, str) else flat(value))
    ]


def study_figures(study):
    """Names of the figures that a study has."""
    if CONFIG.studies[study].kind == "analytic":
        return ["energies_only"]
    comparison = CONFIG.studies[study].evaluation.sampler_comparison
    names = ["landscape", "learning_curve"]
    names += ["energies"] if has_energies(study) else []
    names += (
        ["density"] if CONFIG.studies[study].density and has_energies(study) else []
    )
    names += ["pathway"] if CONFIG.studies[study].interpolation else []
    return names + (["samplers"] if comparison else [])


def study_results(study):
    """Everything a study leaves for its reader."""
    folder = f"results/{study}"
    metrics = [f"{folder}/{t}/metrics.json" for t in CONFIG.studies[study].targets]
    figures = [
        f for n in study_figures(study) for f in figure_files(n, f"{folder}/figures")
    ]
    return [*metrics, *figures, f"results/tables/{study}.csv"]


def compared_studies(table):
    """The studies of a comparison, each as many times as it has seeds."""
    comparison = CONFIG.comparisons.get(table)
    if comparison is None:
        return []
    return [study for study in comparison.studies for _ in comparison.seeds or [None]]


def compared_metrics(table):
    """Metrics of every study of a comparison with every seed."""
    comparison = CONFIG.comparisons.get(table)
    if comparison is None:
        return []
    names = [
        seeded_name(study, seed) if comparison.seeds else study
        for study in comparison.studies
        for seed in comparison.seeds or [None]
    ]
    return [
        f"results/{name}/{target}/metrics.json"
        for name in names
        for target in CONFIG.studies[name].targets
    ]


def landscape_data(wildcards):
    """Evaluations of all targets of the studies that figure 2a shows."""
    shown = CONFIG.figures.get("figure_2a", ())
    return [
        f"results/{study}/{target}/evaluation.npz"
        for study in shown
        for target in CONFIG.studies[study].targets
    ]


def announcement(dag, cores):
    """Say how many jobs there are, and about how long and how much disk they take."""
    jobs = []
    for job in dag.needrun_jobs():
        if not job.is_norun:
            study = job.wildcards_dict.get("system", "")
            cost = estimated(costs.cost, job.rule.name, study)
            jobs.append((study, job.rule.name, cost))
    seconds, megabytes = costs.plan(jobs, cores)
    return (
        f"{len(jobs)} jobs to run: about {max(1, round(seconds / 60))} minutes on {cores} core(s)"
        f" and {max(1, round(megabytes))} MB of disk"
    )


onstart:
    # On a cluster there is no number of cores, but one of jobs at a time.
    print(
        announcement(workflow.dag, workflow.nodes or workflow.cores),
        file=sys.stderr,
    )
