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

from dig_core import costs, job_memory
from dig_core.config import plain, read_config, seeded_name
from dig_core.settings.bundled import (
    bundled_replica,
    bundled_surface,
    simulation_settings,
    surface_settings,
)
from dig_core.settings.validation import ConfigError


configfile: os.path.join(workflow.basedir, "config", "config.yaml")


try:
    CONFIG = read_config(
        config,
        os.path.relpath(Path(workflow.basedir, "config", "config.yaml")),
        # What is asked for: Snakemake itself tells only after it has read the rules. In a job on a cluster it is that job.
        sys.argv[1:],
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


def of_kind(*kinds):
    """Return the pattern of the studies of these kinds; one that nothing matches where there is none."""
    return (
        "|".join(n for n, study in CONFIG.studies.items() if study.kind in kinds)
        or r"(?!)"
    )


def proteins_with(*sources):
    """Return the pattern of the studies of proteins whose frames come from one of these sources."""
    return (
        "|".join(
            name
            for name, study in CONFIG.studies.items()
            if study.kind == "protein" and study.data.source in sources
        )
        or r"(?!)"
    )


def with_shards(several):
    """Return the pattern of the studies whose targets are drawn by several jobs, or by one."""
    return (
        "|".join(
            name
            for name, study in CONFIG.studies.items()
            if study.kind in ("molecule", "protein")
            and (study.sampler.shards > 1) == several
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


def as_built(target):
    """Settings of a target without what does not change it: no molecule is built, and nothing simulated, anew for these."""
    values = {k: v for k, v in target.items() if k not in ("transition", "held_out")}
    if values.get("trajectory"):
        keys = "topology", "selection", "number_offset"
        known = {key: values["trajectory"][key] for key in keys}
        # The first frame is only looked at where no structure is named.
        first = (
            {} if target["pdb"] else {"replicas": target["trajectory"]["replicas"][:1]}
        )
        values["trajectory"] = known | first
    return values


def trained_targets(wildcards):
    """The targets that the network is trained on: all that are not held out. Those of crystals are what is drawn."""
    if CONFIG.studies[wildcards.system].kind == "carbon":
        return {}
    targets = SETTINGS[wildcards.system]["targets"]
    return {t: as_built(own) for t, own in targets.items() if not own.get("held_out")}


def dynamics_settings(wildcards, replica=None):
    """Settings of one simulation only: a longer competitor must not repeat the replicas."""
    data = CONFIG.studies[wildcards.system].data
    return plain(data.dynamics(replica or wildcards.replica))


def building_settings(wildcards):
    """What a target's topology and descriptor follow from: the force field, the user's frames, and the features of embeddings."""
    study = SETTINGS[wildcards.system]
    keys = ("source", "force_field", "topology", "files", "selection")
    found = {key: study["data"][key] for key in keys if key in study["data"]}
    if study["targets"][wildcards.target].get("embeddings"):
        names = "single", "pair"
        found["features"] = {n: study["model"][f"{n}_features"] for n in names}
    return found


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
    # A user's trajectories of proteins have been read by a rule of their own.
    if (
        data["source"] != "trajectory"
        or CONFIG.studies[wildcards.system].kind == "protein"
    ):
        kept = ("source", "discarded_ns")
        return {key: data[key] for key in kept if key in data}
    return {key: data[key] for key in keys}


def surface_target(wildcards):
    """What is built for a target, whether it is held out or not."""
    own = SETTINGS[wildcards.system]["targets"][wildcards.target]
    return {key: own[key] for key in ("surface", "slab", "adsorbate")}


def slab_settings(wildcards):
    """What the slab of a target follows from, beside the target."""
    data = SETTINGS[wildcards.system]["data"]
    keys = ("calculator", "fixed_layers", "force_eV_per_angstrom", "steps")
    return {key: data[key] for key in keys}


def map_settings(wildcards):
    """How energies over a surface are computed."""
    data = SETTINGS[wildcards.system]["data"]
    return {key: data[key] for key in ("calculator", "points")}


def training_settings(wildcards):
    """Settings of the training without what it starts from, whose weights are an input."""
    values = dict(SETTINGS[wildcards.system]["training"])
    values.pop("start_from", None)
    return values


def pretraining_settings(wildcards):
    """Settings of the training that hold for the pre-training as well: what it states itself takes their place."""
    study = SETTINGS[wildcards.system]
    own = study["pretraining"] or {}
    values = training_settings(wildcards)
    return {key: value for key, value in values.items() if key not in own}


def run_settings(wildcards):
    """How the user's frames of a protein are read, whatever other runs there are."""
    values = dict(SETTINGS[wildcards.system]["targets"][wildcards.target]["trajectory"])
    values.pop("replicas")
    return values


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
    """Settings of the evaluation without comparisons that have rules of their own: of solvers, and with known adsorption energies."""
    values = dict(SETTINGS[wildcards.system]["evaluation"])
    for name in ("sampler_comparison", "known"):
        values.pop(name, None)
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
        job_memory.memory_MB, rule_name, wildcards.system
    )


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
    names += ("constraints",) if study["kind"] == "protein" else ()
    pretraining = study["pretraining"]
    asked = {key: pretraining[key] for key in ("structures", "seed")}
    return {
        "data": {name: study["data"][name] for name in names},
        "pretraining": {**asked, "loss": {"kind": pretraining["loss"]["kind"]}},
        "temperature_K": study["temperature_K"],
        "control_variate": study["training"]["control_variate"],
    }


def form_settings(wildcards):
    """Settings of the training from energies, with the steps of one form: those of the other do not matter."""
    values = SETTINGS[wildcards.system]["pretraining"]
    return {**values, "steps": values["steps"][wildcards.form]}


# Jobs for several targets (several.smk): the rule for one target, the study, and how many it stands for.
SEVERAL = {}


def announcement(dag, cores):
    """Say how many jobs there are, and about how long and how much disk they take."""
    jobs = []
    for job in dag.needrun_jobs():
        if not job.is_norun:
            one = job.rule.name, job.wildcards_dict.get("system", ""), 1
            name, study, count = SEVERAL.get(job.rule.name, one)
            cost = estimated(costs.cost, name, study)
            cost = costs.Cost(count * cost.seconds, count * cost.megabytes)
            jobs.append((study, name, cost))
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
