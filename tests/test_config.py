"""Settings: the shipped files are valid, mistakes give one helpful line, and the schema is in step."""

import copy
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dig_core import costs, job_memory
from dig_core.config import load_config, load_study, main, plain, read_config, schema
from dig_core.settings.description import describe
from dig_core.settings.fields import RESERVED_NAMES
from dig_core.settings.study import Study
from dig_core.settings.validation import ConfigError, validated

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "config" / "systems").glob("*.yaml"))
ALANINE, PEPTIDES, TWO_STATES, CARBON = (
    yaml.safe_load((ROOT / f"config/systems/{name}.yaml").read_text())
    for name in ("alanine_dipeptide", "peptides", "two_states", "carbon_24")
)

CARBON["data"]["files"] = [str(ROOT / "config/structures/carbon_phases.csv")]  # that is there
GAPS, SEARCH = (
    yaml.safe_load((ROOT / f"config/systems/{name}.yaml").read_text())[section]
    for name, section in (("carbon_tiny", "property"), ("carbon_search", "data"))
)
LABELS = {"kind": "quantum_espresso", "samples": 4, "known": 2, "seed": 1}
SEARCH = SEARCH["search"] | {"known": []}
PRETRAINING = {
    "structures": {
        "kind": "hot_dynamics",
        "temperature_K": 700.0,
        "duration_ns": 0.1,
        "frame_interval_ps": 0.2,
    },
    "loss": {"kind": "forces", "largest_noise": 0.1},
    "steps": 10,
    "batch_size": 8,
    "learning_rate": 1.0e-3,
    "warmup_steps": 2,
    "seed": 1,
}

HOT_PRETRAINING = PRETRAINING | {
    "loss": {"kind": "fokker_planck", "form": "score", "narrowest": 0.05, "residual": 0.2, "curriculum": 0.5}
}


def changed(path: str, value: object, base: dict = ALANINE) -> dict:
    """Return a study with one value replaced (or added); `path` has dots."""
    values = copy.deepcopy(base)
    *parents, last = path.split(".")
    section = values
    for key in parents:
        section = section[key]
    section[last] = value
    return values


def without(path: str) -> dict:
    values = changed(path, None)
    *parents, last = path.split(".")
    section = values
    for key in parents:
        section = section[key]
    del section[last]
    return values


def write(folder: Path, name: str, values: object) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def mistake(folder: Path, values: object, name: str = "study") -> str:
    """Return the error of a study as text; it must be one line that begins with the file's name."""
    path = write(folder, name, values)
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(folder))
    return text


def users_files(study: str) -> list[str]:
    """Files that a shipped study leaves to its user: they are not there."""
    text = (ROOT / f"config/systems/{study}.yaml").read_text()
    return sorted(set(re.findall(r"trajectories/[\w/.]+", text)))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_are_valid(path, tmp_path, monkeypatch):
    if path.stem in ("protein_paper", "protein_paper_states"):
        with pytest.raises(
            ConfigError, match=r"protein_paper\.yaml: expected the file trajectories/\S+; found none"
        ):
            load_study(path)
        for file in map(tmp_path.joinpath, users_files("protein_paper")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        monkeypatch.chdir(tmp_path)
        assert main([str(path)]) == 0
    assert load_study(path).kind in ("molecule", "analytic", "protein", "carbon", "adsorption")


def test_stages_of_the_paper_follow_one_another(tmp_path, monkeypatch):
    """Each has the paper's network, and starts from the one before; what the last one draws trains none of them."""
    for file in map(tmp_path.joinpath, users_files("protein_paper")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    names = ("protein_paper_pdb", "protein_paper", "protein_paper_states")
    stages = [load_study(ROOT / f"config/systems/{name}.yaml") for name in names]
    assert [stage.training.start_from for stage in stages] == [None, *names[:2]]
    own = stages[1].model
    sizes = own.layers, own.width, own.pair_width, own.heads, own.precision, own.compile
    assert sizes == (12, 768, 256, 32, "bfloat16", True) and all(stage.model == own for stage in stages)
    trained = {name for stage in stages for name, target in stage.targets.items() if not target.held_out}
    assert trained.isdisjoint(stages[2].targets) and stages[2].training.steps == 0


def test_shipped_workflow_names_shipped_studies():
    config = load_config(ROOT / "config" / "config.yaml")
    assert set(config.listed) <= {path.stem for path in SHIPPED}
    assert config.studies["alanine_dipeptide"].targets["ala"].sequence == "ACE-ALA-NME"


def test_schema_is_in_step():
    assert (ROOT / "config" / "schema.json").read_text() == schema(), (
        "write: python -m dig_core.config --schema > config/schema.json"
    )


def test_every_setting_is_described():
    def undescribed(node, path):
        for name, content in node.get("properties", {}).items():
            if "description" not in content:
                yield f"{path}.{name}"

    content = json.loads(schema())
    nodes = {"Study": content, **content["$defs"]}
    assert [name for key, node in nodes.items() for name in undescribed(node, key)] == []


def test_settings_are_frozen_and_return_as_plain_values():
    study = validated(Study, ALANINE, "alanine")
    with pytest.raises(ValueError, match="frozen"):
        study.temperature_K = 310.0
    assert plain(study)["training"] == {"start_from": None, **ALANINE["training"]}
    assert validated(Study, plain(study) | {"targets": ALANINE["targets"]}, "again") == study


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("temprature_K", 300.0, ["'temprature_K'", "Did you mean 'temperature_K'?"]),
        ("training.learning_rate", "1e-3", ["training.learning_rate", "'1e-3'", "Write 1.0e-3"]),
        ("training.steps", "100", ["training.steps", "'100'", "Remove the quotes"]),
        ("training.steps", 2.5, ["training.steps", "integer", "2.5"]),
        ("training.steps", True, ["training.steps", "True"]),
        ("training.step", 5, ["training: ", "'step'", "Did you mean 'steps'?"]),
        ("training.ema_decay", 1.0, ["training.ema_decay", "less than 1", "1.0"]),
        ("training.learning_rate", float("nan"), ["training.learning_rate", "finite", "nan"]),
        ("temperature_K", -1.0, ["temperature_K", "greater than 0"]),
        ("sampler.kind", "dpm_solvr", ["sampler.kind", "'dpm_solvr'", "Did you mean 'dpm_solver'?"]),
        ("sampler.samples", 0, ["sampler.samples", "greater than 0", "0"]),
        ("sampler.until_valid", "no", ["sampler.until_valid", "boolean"]),
        ("targets_per_job", 0, ["targets_per_job", "greater than 0"]),
        ("sampler.shards", 101, ["sampler", "at most as many shards as batches, 100; got 101"]),
        ("sampler", ALANINE["sampler"] | {"shards": 4, "until_valid": True}, ["expected one shard", "got 4"]),
        (
            "sampler.relaxation",
            {"steps": 65, "timestep_fs": 2.0, "friction": 50.0, "seed": 1},
            ["sampler.relaxation", "'friction'", "Did you mean 'friction_per_ps'?"],
        ),
        (
            "sampler.relaxation",
            {"steps": 65},
            ["sampler.relaxation.timestep_fs", "got nothing", "(and 2 more)"],
        ),
        (
            "pretraining",
            PRETRAINING | {"loss": {"kind": "denoising"}},
            ["pretraining: ", "structures with weights", "parallel_tempering"],
        ),
        ("pretraining", PRETRAINING | {"step": 5}, ["pretraining: ", "Did you mean 'steps'?"]),
        ("training.steps", 0, ["training.steps", "got 0", "add pretraining"]),
        (
            "data.subset",
            {"frames": 2, "region": {"phi_deg": [0.0, 90.0], "psi_deg": [0.0, 90.0]}, "seed": 1},
            ["data.subset.frames", "greater than or equal to 20"],
        ),
        ("density.draws", 50, ["density: ", "structures <= draws", "54 and 50"]),
        ("density.divergence", {"kind": "exat"}, ["density.divergence.kind", "Did you mean 'exact'?"]),
        ("density.divergence", {"kind": "hutchinson"}, ["density.divergence.probes", "got nothing"]),
        ("density.divergence", {"kind": "hutchinson", "probes": 1}, ["divergence.probes", "equal to 2"]),
        ("density.tolerance", 0.0, ["density.tolerance", "greater than 0"]),
        ("density.structure", 5, ["density: ", "Did you mean 'structures'?"]),
        (
            "interpolation.end_state",
            "C7axe",
            ["evaluation.states in interpolation.end_state", "'C7axe'", "Did you mean 'C7ax'?"],
        ),
        (
            "interpolation.start_state",
            "nowhere",
            ["interpolation.start_state", "or write interpolation: null"],
        ),
        ("interpolation.start_state", "C7ax", ["interpolation: ", "two different states", "C7ax twice"]),
        ("interpolation.kind", "lineer", ["interpolation.kind", "'lineer'", "Did you mean 'linear'?"]),
        ("interpolation.points", 2, ["interpolation.points", "greater than or equal to 3"]),
        ("interpolation.path", 2, ["interpolation: ", "Did you mean 'paths'?"]),
        ("targets", {"path": {"sequence": "ACE-ALA-NME"}}, ["targets.path", "'path'", "Rename it"]),
        ("process.kind", "variance_explodin", ["process.kind", "Did you mean 'variance_exploding'?"]),
        ("process.sigma_max", 0.001, ["process", "sigma_min < sigma_max"]),
        ("process.sigma_mux", 1.0, ["process: ", "'sigma_mux'"]),
        ("data.source", "simulat", ["data.source", "Did you mean 'simulate'?"]),
        ("data.replicas", 1, ["data.replicas", "greater than or equal to 2"]),
        ("data.frame_interval_ps", 0.2005, ["frame_interval_ps", "multiple of timestep_fs"]),
        ("data.bias.torsions", ["phi", "chi"], ["data.bias.torsions.1", "'chi'"]),
        ("data.bias.hight_kJ_per_mol", 1.0, ["data.bias: ", "Did you mean 'height_kJ_per_mol'?"]),
        ("model.heads", 7, ["model", "multiple of heads", "96 and 7"]),
        ("targets.ala", {"sequence": "ACE-ALA-NME", "smiles": "C"}, ["targets.ala", "sequence and smiles"]),
        ("targets.ala", {}, ["targets.ala", "exactly one", "none"]),
        ("targets", {}, ["targets", "at least 1"]),
        ("targets", {"figures": {"sequence": "ACE-ALA-NME"}}, ["targets.figures", "'figures'", "Rename it"]),
        ("targets", {"2ala": {"sequence": "ACE-ALA-NME"}}, ["targets.2ala", "starts with a letter"]),
        ("targets.ala", {"pdb": "nowhere.pdb"}, ["nowhere.pdb", "found none"]),
        ("evaluation.states.C7eq.phi_deg", [0.0], ["evaluation.states.C7eq.phi_deg"]),
        ("evaluation.states.C7eq.phi_deg", [0.0, 200.0], ["phi_deg.1", "less than or equal to 180"]),
        ("evaluation.sampler_comparison.solvers", {"euler": [5]}, ["solvers.euler", "'euler'"]),
        ("kind", "crystal", ["kind", "'molecule'", "'crystal'"]),
        ("data", None, ["data", "None"]),
        ("model", [1], ["model"]),
    ],
)
def test_mistake_gives_one_line(tmp_path, path, value, told):
    text = mistake(tmp_path, changed(path, value))
    assert "expected" in text
    assert "got" in text or "found none" in text
    for part in told:
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (
            "targets",
            {"one": {"sequence": "GA", "held_out": True}, "two": {"sequence": "AG", "held_out": True}},
            ["a target that is trained on", "held_out: true for all"],
        ),
        (
            "targets.SAPS",
            {"sequence": "GA", "fasta": "own.fasta"},
            ["targets.SAPS", "got sequence and fasta"],
        ),
        ("targets.SAPS", {}, ["targets.SAPS", "sequence, fasta, pdb, states; got none"]),
        ("targets.SAPS", {"smiles": "CCO"}, ["targets.SAPS", "'smiles'"]),
        (
            "targets.SAPS",
            {"sequence": "GA", "chain": "A"},
            ["targets.SAPS", "a PDB file where there are residues; got sequence"],
        ),
        ("targets.SAPS", {"fasta": "own.fasta", "residues": [1, 2]}, ["a PDB file", "got fasta"]),
        ("targets.SAPS", {"pdb": "own.pdb", "residues": [1]}, ["targets.SAPS.residues"]),
        ("targets.SAPS", {"sequence": "GA", "heldout": True}, ["targets.SAPS", "Did you mean 'held_out'?"]),
        ("targets.SAPS", {"fasta": "nowhere.fasta"}, ["nowhere.fasta", "found none"]),
        ("targets.SAPS", {"pdb": "nowhere.cif"}, ["nowhere.cif", "found none"]),
        ("targets", {"all_atoms": {"sequence": "GA"}}, ["targets.all_atoms", "Rename it"]),
        (
            "data.bundled",
            "nowhere",
            [
                "data.bundled",
                "expected one of ['adsorption', 'adsorption_co', 'chignolin', 'peptides']",
                "Write null",
            ],
        ),
        ("data.constraints", "all_bonds", ["data.constraints", "'all_bonds'"]),
        ("data.replicas", 1, ["data.replicas", "greater than or equal to 2"]),
        ("data.bias", {"torsions": ["phi"]}, ["data.bias"]),
        ("data.source", "simulated", ["data.source", "'simulate'", "'structures'", "'trajectory'"]),
        ("evaluation.bins", 1, ["evaluation.bins", "greater than or equal to 2"]),
        ("evaluation.kind", "known_states", ["evaluation: ", "'bins'"]),
        ("data.frame_interval_ps", 0.002, ["frame_interval_ps", "multiple of timestep_fs"]),
        ("model.blocks", 3, ["model", "layers to be a multiple of blocks; got 4 and 3"]),
        ("model.heads", 7, ["model", "width to be a multiple of heads; got 96 and 7"]),
        ("model.kind", "graphormer", ["model.kind", "'frame_graphormer'"]),
        ("model.scale_angstrom", 0.0, ["model.scale_angstrom", "greater than 0"]),
        ("process.rotations.sigma_min", 3.0, ["process.rotations", "sigma_min < sigma_max; got 3.0 and 2.4"]),
        ("process.rotations.sigma_max", 5.0, ["process.rotations.sigma_max", "less than or equal to 4"]),
        ("process.positions.kind", "brownian_rotations", ["process.positions.kind"]),
        ("process.rotation", {}, ["process: ", "Did you mean 'rotations'?"]),
        ("training.step", 5, ["training: ", "Did you mean 'steps'?"]),
        ("training.control_variate", "forces", ["training.control_variate"]),
        (
            "pretraining",
            {**HOT_PRETRAINING, "loss": {**HOT_PRETRAINING["loss"], "form": "potential"}},
            ["expected score in pretraining.loss.form for proteins; got potential"],
        ),
        (
            "pretraining",
            PRETRAINING,
            ["denoising or fokker_planck in pretraining.loss.kind"],
        ),
        (
            "pretraining",
            {**HOT_PRETRAINING, "loss": {**HOT_PRETRAINING["loss"], "narrowest": 0.0125}},
            ["sigma_min of at most a third of pretraining.loss.narrowest, 0.0042; got 0.01"],
        ),
        (
            "pretraining",
            {**HOT_PRETRAINING, "structures": {**HOT_PRETRAINING["structures"], "frame_interval_ps": 0.21}},
            ["pretraining.structures.frame_interval_ps to be a multiple of data.timestep_fs"],
        ),
        ("data.discarded_ns", 3.0, ["discarded_ns below duration_ns, 3; got 3"]),
        ("data.subset", {"frames": 5}, ["data.subset.frames", "greater than or equal to 20"]),
        (
            "sampler.relaxation",
            {"steps": 65, "timestep_fs": 2.0, "friction_per_ps": 50.0, "seed": 1},
            ["no sampler.relaxation for proteins"],
        ),
        (
            "evaluation.sampler_comparison",
            {"samples": 10, "solvers": {"ancestral": [5]}},
            ["no evaluation.sampler_comparison for proteins"],
        ),
        (
            "evaluation.states",
            {"helix": {"phi_deg": [-90.0, -30.0], "psi_deg": [-90.0, 0.0]}},
            ["no evaluation.states for proteins"],
        ),
        (
            "interpolation",
            TWO_STATES["interpolation"],
            ["no interpolation where data.source is simulate; got some", "write interpolation: null"],
        ),
        (
            "targets.SAPS",
            {
                "sequence": "GA",
                "transition": {"trajectory": "way.dcd", "topology": "way.psf", "biased": True},
            },
            ["targets.SAPS", "states where there is a transition", "Remove the transition"],
        ),
    ],
)
def test_mistake_in_a_study_of_proteins_gives_one_line(tmp_path, path, value, told):
    text = mistake(tmp_path, changed(path, value, PEPTIDES))
    assert "expected" in text
    for part in told:
        assert part in text


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("targets.six.atoms", {"Si": 6}, ["elements of data.elements in targets.six.atoms; got Si"]),
        ("targets.six.atoms", {"C": 12}, ["at most data.largest_atoms, 8, in targets.six.atoms; got 12"]),
        ("targets.six.atoms", {"C": 0}, ["targets.six.atoms", "got 0"]),
        ("targets.six.scale", 4.0, ["targets.six", "`asked`, which `scale` weighs; got none"]),
        ("targets.six.asked", 4.0, ["`property:`, which targets.six.asked needs; got none"]),
        ("data.elements", ["carbon"], ["data.elements", "the symbol of an element; got 'carbon'"]),
        ("data.elements", ["Xx"], ["data.elements", "the symbol of an element; got 'Xx'"]),
        ("data.files", [], ["data: expected crystals in `files`, or a `search`"]),
        ("data.files", ["absent.cif"], ["the file absent.cif; found none"]),
        ("data.search", SEARCH | {"known": ["absent.cif"]}, ["the file absent.cif; found none"]),
        ("data.search", SEARCH | {"cells": []}, ["data.search.cells"]),
        ("property", GAPS | {"table": "absent.csv"}, ["the file absent.csv; found none"]),
        (
            "property",
            GAPS | {"table": "a.csv", "labels": LABELS},
            ["a table or labels.known", "got a.csv and 2 jobs"],
        ),
        (
            "relaxation",
            {"samples": 501, "seed": 1},
            ["between property.labels.samples, 0, and sampler.samples, 500", "got 501"],
        ),
        ("process.fractional.sigma_max", 1.0, ["process.fractional.sigma_max", "got 1.0"]),
        ("data.held_out_share", 1.0, ["data.held_out_share", "got 1.0"]),
        ("process.lattice.sigma_min", 9.0, ["sigma_min < sigma_max; got 9.0 and 3.0"]),
        ("model.cutoff", 4.0, ["got 'cutoff'", "cutoff_angstrom"]),
        ("sampler.kind", "langevin", ["sampler.kind", "got 'langevin'"]),
        ("sampler.correctors", -1, ["sampler.correctors", "got -1"]),
        ("training.steps", 0, ["training: expected steps >= 1; got 0"]),
        ("training.start_from", "carbon_25", ["training.start_from: expected a study", "got 'carbon_25'"]),
        ("evaluation.phases", "absent.csv", ["the file absent.csv; found none"]),
        ("training.emphasis.sigma_max", 0.02, ["sigma_min < sigma_max; got 0.02 and 0.02"]),
        ("training.emphasis.sigma_max", 0.4, ["within process.fractional, 0.01 to 0.3; got 0.02 to 0.4"]),
    ],
)
def test_mistake_in_a_study_of_crystals_gives_one_line(tmp_path, path, value, told):
    text = mistake(tmp_path, changed(path, value, CARBON))
    assert "expected" in text
    for part in told:
        assert part in text


def test_labels_are_those_of_the_property_and_of_samples_that_there_are(tmp_path):
    tiny = yaml.safe_load((ROOT / "config/systems/carbon_tiny.yaml").read_text())["property"]
    labels = {"kind": "quantum_espresso", "samples": 40, "seed": 1}
    for changes, told in (
        ({"column": "energy_eV"}, "column: band_gap_eV, which labels are; got energy_eV"),
        ({"labels": labels | {"samples": 501}}, "sampler.samples, 500, in property.labels.samples; got 501"),
        (
            {"guidance": {"scale": 1.0, "by": "predictor"}},
            "expected predictor, a Python file, with guidance.by",
        ),
        ({"predictor": "absent.py"}, "expected the file absent.py; found none"),
        ({"predictor": "README.md"}, "property.predictor"),
    ):
        text = mistake(tmp_path, changed("property", tiny | {"labels": labels} | changes, CARBON))
        assert "expected" in text and told in text


def test_crystals_start_from_a_network_of_the_same_crystals(tmp_path):
    """What is held out is told by the data, so these must be the same; without anything held out they need not be."""
    write(tmp_path, "known", CARBON)
    own = {"based_on": "known", "training": {"start_from": "known", "steps": 0}}
    assert load_study(write(tmp_path, "drawn", own)).training.start_from == "known"
    for changes, told in (
        (
            {"data": {"seed": 2}},
            "expected the data of known, so that what is held out has not trained its network",
        ),
        ({"model": {"width": 32}}, "whose model.width is 64; got 32"),
        (
            {"process": {"lattice": {"sigma_max": 4.0}}},
            "expected the process of known where training.steps is 0",
        ),
    ):
        assert told in mistake(tmp_path, own | changes, "drawn")
    other = {"data": {"seed": 2, "held_out_share": 0.0}, "training": {"start_from": "known", "steps": 5}}
    assert load_study(write(tmp_path, "tuned", own | other)).training.steps == 5


def test_a_study_of_crystals_is_described_and_costs_more_where_it_is_larger(tmp_path):
    values = changed("data.files", [str(ROOT / "config/structures/carbon_phases.csv")], CARBON)
    study = load_study(write(tmp_path, "mine", values))
    assert describe(study).startswith(
        "eight, six of C: crystals of 1 file(s); 5000 training steps; 500 samples by predictor_corrector"
    )
    larger = load_study(write(tmp_path, "larger", changed("data.largest_atoms", 24, values)))
    for rule in ("train", "sample_crystals"):
        assert costs.cost(rule, larger).seconds > 2 * costs.cost(rule, study).seconds > 100
        assert job_memory.memory_MB(rule, larger) > job_memory.memory_MB(rule, study) > 2000


ADSORPTION = yaml.safe_load((ROOT / "config/systems/adsorption_tiny.yaml").read_text())


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("targets.H_on_Cu.adsorbate", "He", ["targets.H_on_Cu.adsorbate", "'He'"]),
        ("targets.H_on_Cu.surface.composition", {"Xx": 1}, ["the symbol of an element; got 'Xx'"]),
        ("targets.H_on_Cu.surface.structure", "cubic", ["targets.H_on_Cu.surface.structure", "'cubic'"]),
        (
            "targets.H_on_Cu.surface.composition",
            {"Cu": 3, "Sn": 1},
            ["expected one element in a crystal fcc"],
        ),
        (
            "targets.H_on_Cu.surface.structure",
            "L1_2",
            ["two elements as 3:1 in a crystal L1_2; got {'Cu': 1}"],
        ),
        ("targets.H_on_Cu.surface.structure", "random", ["at least two elements in a crystal random"]),
        ("targets.H_on_Cu.surface.miller", [0, 0, 0], ["expected three Miller indices, not all 0"]),
        ("targets.H_on_Cu.surface.miller", [0, 0, 0, 1], ["or four h, k, -h-k, l of hcp; got [0, 0, 0, 1]"]),
        ("targets.H_on_Cu.surface.c_angstrom", 4.0, ["expected no c_angstrom of fcc; got 4"]),
        ("targets.H_on_Cu.surface.vacuum_angstrom", 5.0, ["vacuum_angstrom", "got 5"]),
        ("targets.H_on_Cu.surface.lattice_angstrom", 0.4, ["lattice_angstrom", "got 0.4"]),
        ("targets.H_on_Cu.slab", "a.vasp", ["targets.H_on_Cu", "expected `surface` or `slab`; got both"]),
        ("targets.H_on_Cu.surface", None, ["expected `surface` or `slab`; got neither"]),
        ("targets.H_on_Cu", {"adsorbate": "H", "slab": "absent.vasp"}, ["the file absent.vasp; found none"]),
        ("targets", {"O": ADSORPTION["targets"]["O_on_Ag"]}, ["held_out: true for all"]),
        ("process.plane.sigma_max", 0.01, ["sigma_min < sigma_max; got 0.03 and 0.01"]),
        ("model.kind", "graphormer", ["model.kind", "got 'graphormer'"]),
    ],
)
def test_mistake_in_a_study_of_adsorption_gives_one_line(tmp_path, path, value, told):
    text = mistake(tmp_path, changed(path, value, ADSORPTION))
    assert "expected" in text
    for part in told:
        assert part in text


def test_energies_of_surfaces_are_learned_as_a_free_score_and_of_atoms(tmp_path):
    few = yaml.safe_load((ROOT / "config/systems/adsorption_few_pidp.yaml").read_text())["pretraining"]
    own = ADSORPTION | {"pretraining": few, "density": None}
    assert load_study(write(tmp_path, "mine", own)).pretraining.loss.form == "score"
    for path, value, told in (
        (
            "pretraining.loss.form",
            "potential",
            "pretraining: expected loss.form: score, which adsorbates have; got",
        ),
        ("targets.H_on_Cu.adsorbate", "CO", "expected no pretraining with molecules; got one, and H_on_Cu"),
        (
            "process.height.sigma_min",
            0.1,
            "expected process.height.sigma_min of at most a third of pretraining.loss.narrowest, 0.05; got 0.1",
        ),
        ("pretraining.structures", 1, "pretraining.structures"),
    ):
        assert told in mistake(tmp_path, changed(path, value, own))


def test_a_study_of_adsorption_is_described_and_costs_more_where_it_is_larger(tmp_path):
    study = load_study(write(tmp_path, "mine", ADSORPTION))
    assert describe(study).startswith(
        "H_on_Ag, H_on_Cu, O_on_Ag, O_on_Cu at 300 K: energies by emt; 400 training steps"
    )
    larger = load_study(write(tmp_path, "larger", changed("data.points", 24, ADSORPTION)))
    assert costs.cost("map_energies", larger).seconds > 2 * costs.cost("map_energies", study).seconds
    assert all(
        costs.cost(rule, study).seconds > 0
        for rule in ("build_surface", "train", "sample_adsorbates", "map_density")
    )
    assert job_memory.memory_MB("train", study) >= 2000


# A turn that is folded: what its dynamics is needs no file from elsewhere.
CHIGNOLIN = yaml.safe_load((ROOT / "config/systems/chignolin.yaml").read_text()) | {
    "targets": {"turn": {"pdb": str(ROOT / "config/structures/turn.pdb"), "caps": False}}
}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("targets.turn", {"sequence": "AAGAA"}, ["pdb in targets.turn", "evaluation.folded", "got none"]),
        (
            "targets.turn",
            {"sequence": "AAGAA", "caps": False},
            ["a PDB file where caps is false; got sequence"],
        ),
        (
            "data.tempering.higher_temperatures_K",
            [374.0, 453.0, 412.0],
            ["data.tempering: ", "to rise; got 374, 453, 412"],
        ),
        ("data.tempering.higher_temperatures_K", [], ["higher_temperatures_K", "at least 1"]),
        (
            "data.tempering.higher_temperatures_K",
            [340.0, 400.0],
            ["data.tempering.higher_temperatures_K above temperature_K; got 340 and 340"],
        ),
        (
            "data.tempering.exchange_interval_ps",
            0.5,
            ["tempering.exchange_interval_ps", "multiple of frame_interval_ps; got 0.5"],
        ),
        (
            "data.tempering.exchange_interval_ps",
            3.0,
            ["checkpoint_interval_ps", "multiple of tempering.exchange_interval_ps; got 20"],
        ),
        (
            "evaluation.folded.within_angstrom",
            3.0,
            ["within_angstrom < unfolded_beyond_angstrom; got 3.0 and 3.0"],
        ),
        ("evaluation.folded.beyond", 3.0, ["evaluation.folded", "'beyond'"]),
    ],
)
def test_mistake_in_a_study_of_folding_gives_one_line(tmp_path, path, value, told):
    text = mistake(tmp_path, changed(path, value, CHIGNOLIN))
    assert "expected" in text
    for part in told:
        assert part in text


def test_parallel_tempering_is_described_and_costs_what_all_its_temperatures_do(tmp_path):
    tempered = load_study(write(tmp_path, "own", CHIGNOLIN))
    plain_run = load_study(write(tmp_path, "plain", changed("data.tempering", None, CHIGNOLIN)))
    assert "turn at 340 K: 2 x 3.5 ns of parallel tempering at 5 temperatures;" in describe(tempered)
    assert "2 x 3.5 ns of plain dynamics;" in describe(plain_run)
    several, one = (costs.cost("simulate", study) for study in (tempered, plain_run))
    assert several.seconds - costs.SECONDS_TO_START == pytest.approx(
        5 * (one.seconds - costs.SECONDS_TO_START)
    )
    assert several.megabytes == one.megabytes  # frames at the study's temperature
    assert tempered.data.dynamics("2").tempering == tempered.data.tempering


def test_pretraining_by_parallel_tempering_has_frames_in_every_round_and_rises(tmp_path):
    """The same checks as in a study of proteins."""
    structures = {
        "kind": "parallel_tempering", "higher_temperatures_K": [400.0], "exchange_interval_ps": 0.2, "duration_ns": 0.1,
        "frame_interval_ps": 0.1,
    }  # fmt: skip
    good = changed("pretraining", PRETRAINING | {"structures": structures})
    assert load_study(write(tmp_path, "good", good)).pretraining.structures.exchange_interval_ps == 0.2
    for key, value, told in (
        ("frame_interval_ps", 0.4, "multiple of frame_interval_ps; got 0.2"),
        (
            "higher_temperatures_K",
            [280.0],
            "pretraining.structures.higher_temperatures_K above temperature_K",
        ),
    ):
        assert told in mistake(tmp_path, changed(f"pretraining.structures.{key}", value, good))


ONE_STATE = {"closed": {"pdb": "own.pdb"}}
BOTH_STATES = ONE_STATE | {"open": {"pdb": "own.pdb", "chain": "B"}}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("targets.adenylate_kinase", {"states": ONE_STATE}, ["adenylate_kinase.states", "at least 2"]),
        ("targets.adenylate_kinase", {"states": {}}, ["adenylate_kinase.states", "at least 2"]),
        (
            "targets.adenylate_kinase",
            {"states": BOTH_STATES, "sequence": "GA"},
            ["got sequence and states"],
        ),
        ("targets.adenylate_kinase", {"states": BOTH_STATES, "chain": "A"}, ["got states. Remove them"]),
        (
            "targets.adenylate_kinase",
            {"states": BOTH_STATES | {"path": {"pdb": "own.pdb"}}},
            ["states.path", "Rename it"],
        ),
        (
            "targets.adenylate_kinase",
            {"states": BOTH_STATES | {"half": {"pdp": "own.pdb"}}},
            ["states.half", "Did you mean 'pdb'?"],
        ),
        (
            "targets.adenylate_kinase",
            {"sequence": "GAS"},
            ["expected states in targets.adenylate_kinase where data.source is structures; got none"],
        ),
        ("targets", {"own": {"states": BOTH_STATES}}, ["the file own.pdb", "found none"]),
        ("data.replicas", 2, ["data.replicas"]),
        ("training.validation_fraction", 0.05, ["training.validation_fraction: 0.0", "got 0.05"]),
        ("evaluation.kind", "known_state", ["evaluation.kind", "'known_states'", "'known_state'"]),
        ("evaluation.within_angstrom", 0.0, ["evaluation.within_angstrom", "greater than 0"]),
        ("evaluation.bins", 50, ["evaluation: ", "'bins'"]),
        (
            "evaluation",
            PEPTIDES["evaluation"],
            ["expected kind: known_states in evaluation where data.source is structures"],
        ),
        (
            "interpolation.end_state",
            "opened",
            [
                "targets.adenylate_kinase.states in interpolation.end_state; got 'opened'",
                "Did you mean 'open'?",
            ],
        ),
        (
            "targets.glutamine_binding_protein.states",
            ONE_STATE | {"bound": {"pdb": "own.pdb"}},
            ["targets.glutamine_binding_protein.states in interpolation.end_state", "interpolation: null"],
        ),
        ("interpolation.start_state", "open", ["interpolation: ", "two different states; got open twice"]),
        ("interpolation.largest_noise", 0.01, ["above process.positions.sigma_min, 0.01; got 0.01"]),
        ("interpolation.points", 2, ["interpolation.points", "greater than or equal to 3"]),
        ("interpolation.kind", "straight", ["interpolation.kind", "'slerp'", "'linear'"]),
        ("interpolation.tolerance", 0.0, ["interpolation.tolerance", "greater than 0"]),
        ("interpolation.paths", 8, ["interpolation: ", "'paths'", "points"]),
        (
            "targets.adenylate_kinase.transition.trajectory",
            "nowhere.dcd",
            ["expected the file nowhere.dcd; found none"],
        ),
        (
            "targets.adenylate_kinase.transition",
            {"trajectory": "way.dcd", "topology": "way.psf"},
            ["targets.adenylate_kinase.transition.biased"],
        ),
        (
            "data",
            PEPTIDES["data"],
            ["expected no states in targets.adenylate_kinase where data.source is simulate; got some"],
        ),
    ],
)
def test_mistake_in_a_study_of_known_structures_gives_one_line(tmp_path, path, value, told):
    (tmp_path / "systems").mkdir()
    shipped = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    write(tmp_path, "config", {"downloads": shipped["downloads"]})
    text = mistake(tmp_path / "systems", changed(path, value, TWO_STATES))
    assert "expected" in text
    for part in told:
        assert part in text


def test_known_structures_are_described_and_cost_what_their_residues_do(tmp_path):
    """Files that are not there yet are those of some 190 residues."""
    tiny, shipped = (load_study(ROOT / f"config/systems/{n}.yaml") for n in ("two_states_tiny", "two_states"))
    assert "first, second at 300 K: 4 known structures; " in describe(tiny)
    assert plain(shipped)["evaluation"]["crystal_noise"]["positions_angstrom"] == 0.5
    for rule in ("train", "sample"):
        assert costs.cost(rule, shipped).seconds > 5 * costs.cost(rule, tiny).seconds
    rules = ("build_states", "prepare", "train", "sample", "interpolate_states", "evaluate_states")
    rules += ("figure_states", "figure_pathway_states")
    assert all(
        job_memory.memory_MB(rule, tiny) >= 2000 and costs.runtime_minutes(rule, tiny) for rule in rules
    )
    long = tiny.model_copy(update={"sampler": tiny.sampler.model_copy(update={"samples": 10_000})})
    assert costs.cost("evaluate_states", long).seconds > 500.0
    more = shipped.interpolation.model_copy(update={"points": 10 * shipped.interpolation.points})
    dense = shipped.model_copy(update={"interpolation": more})
    assert (
        costs.cost("interpolate_states", dense).seconds
        > 3 * costs.cost("interpolate_states", shipped).seconds
    )
    assert job_memory.memory_MB("interpolate_states", dense) > job_memory.memory_MB(
        "interpolate_states", shipped
    )
    none = shipped.model_copy(update={"interpolation": None})
    assert costs.cost("interpolate_states", none) == costs.Cost(0.0, 0.0)


@pytest.mark.parametrize(
    "target",
    ["two", "results/two/site/metrics.json", "results/tables/two.csv", "sample:system=two,target=site"],
)
def test_a_study_that_is_asked_for_is_known_whether_it_is_listed_or_not(tmp_path, target):
    """By its name, by a file of its own, and as the job of a cluster; what is listed stays so."""
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "alanine", ALANINE)
    write(tmp_path / "systems", "two", ALANINE)
    (tmp_path / "systems/broken.yaml").write_text("kind: nothing\n")
    values, path = {"studies": ["alanine"], "figures": {}}, tmp_path / "config.yaml"
    config = read_config(values, path, [target])
    assert (config.listed, config.asked) == (("alanine",), ("two",))
    assert set(config.studies) == {"alanine", "two"}
    assert read_config(values, path, ["alanine", "results/twofold.csv"]).asked == ()
    with pytest.raises(ConfigError, match=r"broken.yaml"):
        read_config(values, path, ["broken"])


def test_figures_of_a_kind_show_studies_of_that_kind_alone(tmp_path):
    """They are known by the figure, and not made unless they are asked for."""
    content = {
        "studies": ["alanine_dipeptide"],
        "figures": {"figure_4": ["adsorption_co"], "figure_5": ["carbon"]},
    }
    path = ROOT / "config/config.yaml"
    own = read_config(content | {"downloads": yaml.safe_load(path.read_text())["downloads"]}, path)
    assert {"adsorption_co", "carbon"} <= set(own.studies) and own.listed_figures == []
    content["figures"] = {"figure_5": ["adsorption_co"]}
    told = "figures.figure_5: expected a study of kind carbon; got 'adsorption_co', of kind adsorption"
    with pytest.raises(ConfigError, match=told):
        read_config(content, path)


def test_figure_2b_may_show_a_study_that_is_not_listed(tmp_path):
    """It is known then, and the figure is made when it is asked for; figure 2a is made with the studies."""
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "alanine", ALANINE)
    write(tmp_path / "systems", "two", TWO_STATES)
    downloads = yaml.safe_load((ROOT / "config/config.yaml").read_text())["downloads"]
    content = {"studies": ["alanine"], "figures": {"figure_2a": ["alanine"], "figure_2b": ["two"]}}
    config = load_config(write(tmp_path, "config", content | {"downloads": downloads}))
    assert set(config.studies) == {"alanine", "two"} and config.listed == ("alanine",)
    assert config.listed_figures == ["figure_2a"]
    content |= {"studies": ["alanine", "two"], "downloads": downloads}
    assert load_config(write(tmp_path, "config", content)).listed_figures == ["figure_2a", "figure_2b"]
    content["figures"] = {"figure_2a": ["two"]}
    with pytest.raises(
        ConfigError, match=r"figure_2a: expected a study of molecules or proteins with landscapes"
    ):
        load_config(write(tmp_path, "config", content))


def test_a_protein_is_a_sequence_or_a_file(tmp_path):
    for name in ("own.fasta", "own.cif"):
        (tmp_path / name).touch()
    targets = {
        "letters": {"sequence": "GYDPETGTWG"},
        "fasta": {"fasta": str(tmp_path / "own.fasta")},
        "chain": {"pdb": str(tmp_path / "own.cif"), "chain": "A", "residues": [3, 40], "held_out": True},
    }
    study = load_study(write(tmp_path, "mine", changed("targets", targets, PEPTIDES)))
    assert study.targets["chain"].residues == (3, 40)
    assert [name for name, target in study.targets.items() if target.held_out] == ["chain"]
    assert "chain, fasta, letters at 300 K: 2 x 3 ns of parallel tempering at 3 temperatures;" in describe(
        study
    )


def test_proteins_that_hold_out_another_target_are_the_same_otherwise(tmp_path):
    write(tmp_path, "peptides", PEPTIDES)
    own = {"based_on": "peptides", "targets": {"mine": {"sequence": "GAS"}}}
    study = load_study(write(tmp_path, "mine", own))
    assert list(study.targets) == ["mine"] and not study.targets["mine"].held_out
    unused = {"single_features": 0, "pair_features": 0}
    assert plain(study)["model"] == PEPTIDES["model"] | unused | {"precision": "float32", "compile": False}
    dynamics = study.data.dynamics("2")
    assert dynamics.seed == study.data.seed + 2 and dynamics.constraints == "bonds_to_hydrogen"


def test_embeddings_are_those_of_all_targets_or_of_none(tmp_path):
    (tmp_path / "own.npz").touch()
    without, having = {"sequence": "GAS"}, {"sequence": "GAS", "embeddings": str(tmp_path / "own.npz")}
    both = changed("targets", {"one": having, "two": having | {"held_out": True}}, PEPTIDES)
    sizes = {"single_features": 384, "pair_features": 128}
    study = load_study(write(tmp_path, "mine", both | {"model": both["model"] | sizes}))
    assert study.model.pair_features == 128
    for own, features, told in (
        ({"one": having, "two": without}, sizes, "got none in targets.two"),
        ({"one": without}, {"pair_features": 128}, "got none in targets.one"),
        ({"one": without, "two": having}, {}, "got 0 for both and embeddings in targets.two"),
        ({"one": having | {"embeddings": "nowhere.npz"}}, sizes, "expected the file nowhere.npz; found none"),
        ({"one": having}, {"single_features": -1}, "model.single_features"),
    ):
        values = changed("targets", own, PEPTIDES)
        assert told in mistake(tmp_path, values | {"model": values["model"] | features})


def test_a_study_that_starts_from_another_one_knows_it(tmp_path):
    """And that one what it starts from; none of them is made for its own results."""
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "first", PEPTIDES)
    write(tmp_path / "systems", "second", {"based_on": "first", "training": {"start_from": "first"}})
    quick = {"training": {"start_from": "second"}, "model": {"precision": "bfloat16"}}
    write(tmp_path / "systems", "third", {"based_on": "first", **quick})
    config = load_config(write(tmp_path, "config", {"studies": ["third"], "figures": {"figure_2a": []}}))
    assert set(config.studies) == {"first", "second", "third"} and config.listed == ("third",)


def test_what_a_training_starts_from_is_another_study_with_the_same_network(tmp_path):
    write(tmp_path, "alanine", ALANINE)
    write(tmp_path, "peptides", PEPTIDES)
    write(tmp_path, "one", {"based_on": "peptides", "training": {"start_from": "two"}})
    for own, told in (
        ({"based_on": "peptides", "training": {"start_from": "peptide"}}, "Did you mean 'peptides'?"),
        ({"based_on": "peptides", "training": {"start_from": "two"}}, "got two -> two"),
        ({"based_on": "one"}, "got two -> two"),
        ({"based_on": "peptides", "training": {"start_from": "one"}}, "got two -> one -> two"),
        (
            {"based_on": "peptides", "training": {"start_from": "alanine"}},
            "expected a study of kind protein; got 'alanine'",
        ),
        (
            {
                "based_on": "peptides",
                "temperature_K": 310.0,
                "training": {"start_from": "peptides", "steps": 0},
                "targets": {"ASGV": PEPTIDES["targets"]["ASGV"]},
            },
            "expected the temperature_K of peptides where training.steps is 0",
        ),
        (
            {
                "based_on": "peptides",
                "training": {"start_from": "peptides"},
                "targets": {
                    "again": PEPTIDES["targets"]["SAPS"] | {"held_out": True},
                    "new": {"sequence": "ACE-GLY-SER-ALA-NME"},
                },
            },
            "expected a network that has not learned targets.again",
        ),
        (
            {"based_on": "peptides", "model": {"width": 48}, "training": {"start_from": "peptides"}},
            "expected the network of peptides, whose model.width is 96; got 48. Write the same model",
        ),
        ({"based_on": "peptides", "training": {"steps": 0}}, "expected training.steps >= 1; got 0"),
        (
            {"based_on": "peptides", "training": {"steps": 0, "start_from": "peptides"}},
            "expected held_out: true for all targets where training.steps is 0",
        ),
    ):
        assert told in mistake(tmp_path, own, "two")
    drawn = {
        "targets": {"mine": {"sequence": "GAS", "held_out": True}},
        "training": {"steps": 0, "start_from": "peptides"},
    }
    assert load_study(write(tmp_path, "drawn", {"based_on": "peptides", **drawn})).training.steps == 0


def test_own_trajectories_of_proteins(tmp_path):
    for name in ("1.xtc", "2.xtc", "3.dcd", "top.pdb"):
        (tmp_path / name).touch()
    first, second, third, topology = (str(tmp_path / name) for name in ("1.xtc", "2.xtc", "3.dcd", "top.pdb"))
    runs = {"topology": topology, "replicas": [[first, second], [third]]}

    def own(targets, source="trajectory"):
        data = {"source": "trajectory"} if source == "trajectory" else PEPTIDES["data"]
        return changed("targets", targets, PEPTIDES) | {"data": data}

    one = {"sequence": "GAS", "trajectory": runs}
    study = load_study(write(tmp_path, "mine", own({"one": one, "two": one | {"held_out": True}})))
    assert study.targets["one"].trajectory.stride == 1 and "6 trajectory file(s)" in describe(study)
    assert plain(study)["targets"]["one"]["trajectory"]["replicas"] == [[first, second], [third]]
    for targets, source, told in (
        ({"one": {"sequence": "GAS"}}, "trajectory", "expected a trajectory in targets.one"),
        (
            {"one": one},
            "simulate",
            "expected no trajectory in targets.one where data.source is simulate; got one",
        ),
        ({"one": {"trajectory": runs}}, "trajectory", "sequence, fasta, pdb, states; got none"),
        (
            {
                "one": one,
                "two": {"sequence": "GAS", "trajectory": runs | {"replicas": [[first], [second], [third]]}},
            },
            "trajectory",
            "got 2 of one, 3 of two",
        ),
        (
            {"one": {"sequence": "GAS", "trajectory": runs | {"replicas": [[first]]}}},
            "trajectory",
            "replicas",
        ),
        (
            {"one": {"sequence": "GAS", "trajectory": runs | {"replicas": [[first], []]}}},
            "trajectory",
            "replicas.1",
        ),
        (
            {"one": {"sequence": "GAS", "trajectory": runs | {"topology": "nowhere.pdb"}}},
            "trajectory",
            "nowhere.pdb",
        ),
        (
            {"one": {"sequence": "GAS", "trajectory": runs | {"replicas": [[first], ["4.xtc"]]}}},
            "trajectory",
            "4.xtc",
        ),
    ):
        assert told in mistake(tmp_path, own(targets, source))


def test_costs_of_own_trajectories_follow_their_files(tmp_path):
    """Three of some sixteen atoms of a residue are kept; xtc is four times smaller than float32. A stride saves memory, not reading."""
    (tmp_path / "top.pdb").touch()
    for name in ("1.xtc", "2.xtc"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(40_000_000)  # sparse
    files = [str(tmp_path / "1.xtc"), str(tmp_path / "2.xtc")]

    def own(stride: int):
        runs = {"topology": str(tmp_path / "top.pdb"), "replicas": [[f] for f in files], "stride": stride}
        values = changed("targets", {"one": {"sequence": "GAS", "trajectory": runs}}, PEPTIDES)
        return load_study(write(tmp_path, "mine", values | {"data": {"source": "trajectory"}}))

    every, tenth = (
        job_memory.memory_MB("prepare", own(stride)) - job_memory.LIBRARIES_MB for stride in (1, 10)
    )
    assert every == pytest.approx(job_memory.COPIES * 80 * 4 * 3 / 16, abs=1)
    assert tenth == pytest.approx(every / 10, abs=1)
    seconds = [costs.cost("read_trajectory", own(stride)).seconds for stride in (1, 10)]
    assert seconds == [costs.SECONDS_TO_START + 40e6 / costs.BYTES_READ_PER_SECOND] * 2


@pytest.mark.parametrize("path", ["temperature_K", "training.steps", "data.bias.width_deg", "data.source"])
def test_missing_key_is_named(tmp_path, path):
    text = mistake(tmp_path, without(path))
    assert path in text and "got nothing" in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "got None"),
        ("- a\n- b\n", "expected a mapping"),
        ("kind: [molecule\n", "expected YAML"),
        ("kind: molecule\nkind: molecule\n", "'kind' twice"),
        ("kind: molecule\n\ttemperature_K: 1\n", "expected YAML"),
    ],
)
def test_unreadable_file_gives_one_line(tmp_path, content, told):
    assert told in mistake(tmp_path, content)


def test_several_mistakes_are_counted(tmp_path):
    values = changed("training.steps", -1)
    values["sampler"]["steps"] = 1
    assert mistake(tmp_path, values).endswith("(and 1 more)")


@pytest.mark.parametrize("name", ["figures", "Model", "simulation", "train", "figure_2a", "a b", "1st"])
def test_reserved_study_names_are_refused(tmp_path, name):
    assert "Rename it" in mistake(tmp_path, ALANINE, name)


def test_every_rule_name_is_reserved():
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
    rules = {line[5:-1] for line in text.splitlines() if line.startswith("rule ")}
    assert {name for name in rules if not name.startswith(("figure_", "table_"))} <= RESERVED_NAMES


def test_missing_study_suggests_the_nearest(tmp_path):
    write(tmp_path, "alanine", ALANINE)
    with pytest.raises(ConfigError, match=r"found none\. Did you mean 'alanine'"):
        load_study(tmp_path / "alanin.yaml")


def test_ablation_changes_only_what_it_states(tmp_path):
    write(tmp_path, "alanine", ALANINE)
    path = write(tmp_path, "short", {"based_on": "alanine", "training": {"steps": 7}})
    expected = copy.deepcopy(ALANINE)
    expected["training"]["steps"] = 7
    assert load_study(path) == validated(Study, expected, "expected")


def test_ablation_replaces_targets_and_other_kinds_whole(tmp_path):
    write(tmp_path, "alanine", ALANINE)
    process = {"kind": "variance_preserving", "schedule": "cosine"}
    own = {"based_on": "alanine", "process": process, "targets": {"ser": {"sequence": "ACE-SER-NME"}}}
    study = load_study(write(tmp_path, "other", own))
    assert list(study.targets) == ["ser"]
    assert study.process.schedule == "cosine"


def test_ablation_of_an_ablation_and_back_is_refused(tmp_path):
    write(tmp_path, "one", {"based_on": "two"})
    write(tmp_path, "two", {"based_on": "one"})
    with pytest.raises(ConfigError, match="one -> two -> one"):
        load_study(tmp_path / "one.yaml")


def test_unknown_base_suggests_the_nearest(tmp_path):
    write(tmp_path, "alanine", ALANINE)
    assert "Did you mean 'alanine'?" in mistake(tmp_path, {"based_on": "alanin"}, "short")


def test_mistake_in_the_base_is_told_of_the_base(tmp_path):
    write(tmp_path, "alanine", changed("training.steps", -1))
    path = write(tmp_path, "short", {"based_on": "alanine", "training": {"steps": 7}})
    with pytest.raises(ConfigError, match=r"alanine\.yaml: training\.steps"):
        load_study(path)


def test_own_trajectory(tmp_path):
    for name in ("1.xtc", "2.xtc", "top.pdb"):
        (tmp_path / name).touch()
    files = [str(tmp_path / "1.xtc"), str(tmp_path / "2.xtc")]
    data = {"source": "trajectory", "files": files, "topology": str(tmp_path / "top.pdb")}

    def own(data):
        plain_denoising = ALANINE["training"] | {"control_variate": None}
        return changed("data", data) | {"training": plain_denoising}

    study = load_study(write(tmp_path, "mine", own(data)))
    assert study.data.stride == 1 and study.data.tight_reference is None
    assert "weights" in mistake(tmp_path, own(data | {"weights": [files[0]]}))
    assert "3.xtc" in mistake(tmp_path, own(data | {"files": [str(tmp_path / "3.xtc")]}))


def test_what_uses_forces_needs_a_force_field(tmp_path):
    for name in ("1.xtc", "top.pdb"):
        (tmp_path / name).touch()
    data = {
        "source": "trajectory",
        "files": [str(tmp_path / "1.xtc")],
        "topology": str(tmp_path / "top.pdb"),
    }
    settings = {"steps": 65, "timestep_fs": 2.0, "friction_per_ps": 50.0, "seed": 1}
    users = {"sampler": {"relaxation": settings}, "training": {"control_variate": "forces"}}
    own = {"based_on": "alanine", "data": data}
    write(tmp_path, "alanine", ALANINE)
    for group, used in users.items():
        key = next(iter(used))
        without = {other: {next(iter(keys)): None} for other, keys in users.items()}
        assert mistake(tmp_path, own | without | {group: used}).endswith(
            f": expected data.force_field where there is {group}.{key}; got none."
            f" Name the force field, or write {key}: null"
        )
    assert load_study(write(tmp_path, "bare", own | without)).data.force_field is None
    study = load_study(
        write(tmp_path, "forces", own | users | {"data": data | {"force_field": ["amber14-all.xml"]}})
    )
    assert study.sampler.relaxation.temperature_K is None
    assert study.training.control_variate == "forces"


def test_workflow_refuses_unknown_study_and_figure(tmp_path):
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "alanine", ALANINE)
    for content, told in [
        ({"studies": ["alanin"], "figures": {}}, "Did you mean 'alanine'?"),
        ({"studies": ["alanine"], "figures": {"figure_2a": ["alanin"]}}, "Did you mean 'alanine'?"),
        ({"studies": ["alanine"], "figures": {"figure_2c": ["alanine"]}}, "figure_2a"),
        (
            {"studies": ["alanine"], "figures": {"figure_2b": ["alanine"]}},
            "figures.figure_2b: expected a study with known structures; got 'alanine', of kind molecule with data.source simulate",
        ),
        ({"studies": [], "figures": {}}, "at least 1"),
        ({"studies": ["alanine"]}, "figures: expected this key"),
    ]:
        path = write(tmp_path, "config", content)
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert told in str(caught.value) and "\n" not in str(caught.value)


def test_each_replica_has_its_own_seed_and_the_competitor_no_bias():
    data = load_study(ROOT / "config/systems/alanine_dipeptide.yaml").data
    runs = [data.dynamics(replica) for replica in ("1", "2", "competitor")]
    assert len({run.seed for run in runs}) == 3
    assert runs[0].bias == runs[1].bias == data.bias
    assert runs[2].bias is None and runs[2].duration_ns == data.competitor_duration_ns


def test_check_prints_one_line_and_a_status(capsys, tmp_path):
    assert main([str(ROOT / "config/systems/tiny.yaml")]) == 0
    assert capsys.readouterr().out.startswith("OK ")
    assert main([str(write(tmp_path, "bad", changed("training.steps", 0)))]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert main([]) == 1


def test_check_is_light_and_exits_with_1():
    code = (
        "import sys; from dig_core import config, costs;"
        "print(sorted({'torch', 'openmm', 'numpy', 'pandas', 'rdkit'} & set(sys.modules)));"
        "sys.exit(config.main(['nowhere.yaml']))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"
    assert answer.returncode == 1 and "nowhere.yaml" in answer.stderr


def test_memory_grows_with_atoms_frames_and_batch():
    tiny = load_study(ROOT / "config/systems/tiny.yaml")
    long, wide = (
        tiny.model_copy(update={part: getattr(tiny, part).model_copy(update=change)})
        for part, change in (("data", {"duration_ns": 2000.0}), ("training", {"batch_size": 3200}))
    )
    for rule in ("prepare", "train", "evaluate", "simulate"):
        assert job_memory.memory_MB(rule, long) > 10_000 > job_memory.memory_MB(rule, tiny) >= 2000
    assert job_memory.memory_MB("train", wide) > job_memory.memory_MB("train", tiny) + 500
    assert job_memory.memory_MB("sample", wide) == job_memory.memory_MB("sample", tiny)


def test_costs_of_proteins_follow_their_residues(tmp_path):
    """A network over frames has one node for each residue; a simulation has all atoms."""
    letters = "GYDPETGTWGKRLLEAAHNV"
    lines = [f"ATOM  {k:5}  CA  ALA A{k:4}    " for k in range(320)]
    (tmp_path / "own.fasta").write_text(f">own\n{letters[:12]}\n{letters[12:]}\n")
    (tmp_path / "own.pdb.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "cut.pdb.gz").write_bytes(gzip.compress("\n".join(lines).encode())[:40])
    (tmp_path / "own.pdb").write_bytes("\n".join(lines).encode() + b"\nREMARK \xff")
    targets = [{"sequence": letters}, {"fasta": str(tmp_path / "own.fasta")}]
    targets += [{"pdb": str(tmp_path / name)} for name in ("own.pdb", "own.pdb.gz", "cut.pdb.gz")]
    studies = [
        load_study(write(tmp_path, f"study{k}", changed("targets", {"own": own}, PEPTIDES)))
        for k, own in enumerate(targets)
    ]
    peptides = load_study(ROOT / "config/systems/peptides.yaml")
    for rule in ("simulate", "train", "sample"):
        found = [costs.cost(rule, study).seconds for study in studies[:4]]
        assert max(found) == pytest.approx(min(found)) and found[0] > costs.cost(rule, peptides).seconds
        assert costs.cost(rule, studies[4]).seconds > 0.0
    per_step = (
        4.0 * 256 * 4 * 20 * (8 * 20 * 3 + 20 * 96)
    )  # bytes: batch, layers, nodes, scores and activations
    frames = job_memory.memory_MB("train", studies[0]) - 1e-6 * per_step
    assert frames == pytest.approx(job_memory.memory_MB("prepare", studies[0]), abs=1.0)
    assert job_memory.memory_MB("evaluate_protein", peptides) > job_memory.memory_MB("sample", peptides)


def test_only_work_that_goes_on_is_cut_at_a_day():
    study = load_study(ROOT / "config/systems/alanine_dipeptide.yaml")
    endless = study.model_copy(
        update={
            "training": study.training.model_copy(update={"steps": 10**8}),
            "density": study.density.model_copy(update={"structures": 10**6}),
        }
    )
    assert (
        costs.runtime_minutes("train", endless)
        == 24 * 60
        < costs.runtime_minutes("estimate_density", endless)
    )


def test_costs_grow_with_the_settings():
    study = load_study(ROOT / "config/systems/alanine_dipeptide.yaml")
    tiny = load_study(ROOT / "config/systems/tiny.yaml")
    for rule in ("simulate", "train", "sample", "compare_samplers"):
        assert costs.cost(rule, study).seconds > 2 * costs.cost(rule, tiny).seconds
        assert costs.runtime_minutes(rule, study) > 10
    assert costs.cost("simulate", study).megabytes == pytest.approx(50_000 * 22 * 18e-6)


def test_cost_of_the_relaxation():
    tiny = load_study(ROOT / "config/systems/tiny.yaml")
    assert 11.0 < costs.cost("relax", tiny).seconds < 20.0
    without = tiny.model_copy(update={"sampler": tiny.sampler.model_copy(update={"relaxation": None})})
    assert costs.cost("relax", without) == costs.Cost(0.0, 0.0)


def test_a_study_may_have_no_densities_and_they_cost_what_they_are(tmp_path):
    assert load_study(write(tmp_path, "alanine", without("density"))).density is None
    study = load_study(ROOT / "config/systems/alanine_dipeptide.yaml")
    assert 280.0 < costs.cost("estimate_density", study).seconds < 680.0  # 340 measured
    probes = changed("density.divergence", {"kind": "hutchinson", "probes": 6})
    cheaper = costs.cost("estimate_density", load_study(write(tmp_path, "probes", probes)))
    assert cheaper.seconds < 0.5 * costs.cost("estimate_density", study).seconds
    none = study.model_copy(update={"density": None})
    assert costs.cost("estimate_density", none) == costs.Cost(0.0, 0.0)


def test_a_study_may_have_no_paths_and_they_cost_what_they_are(tmp_path):
    assert load_study(write(tmp_path, "alanine", without("interpolation"))).interpolation is None
    study = load_study(ROOT / "config/systems/alanine_dipeptide.yaml")
    assert 40.0 < costs.cost("interpolate", study).seconds < 200.0
    single = changed("interpolation.paths", 1)
    cheaper = costs.cost("interpolate", load_study(write(tmp_path, "single", single)))
    assert cheaper.seconds < 0.5 * costs.cost("interpolate", study).seconds
    none = study.model_copy(update={"interpolation": None})
    assert costs.cost("interpolate", none) == costs.Cost(0.0, 0.0)


def test_plan_is_bounded_by_the_chain_and_by_the_cores():
    jobs = [("a", "simulate", costs.Cost(100.0, 1.0))] * 4 + [("a", "train", costs.Cost(50.0, 2.0))]
    assert costs.plan(jobs, cores=1) == (450.0, 6.0)
    assert costs.plan(jobs, cores=2) == (225.0, 6.0)
    assert costs.plan(jobs, cores=8) == (150.0, 6.0)


def test_a_comparison_has_every_study_with_every_seed(tmp_path):
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "base", ALANINE)
    few = {"based_on": "base", "data": {"simulations_of": "base"}, "pretraining": PRETRAINING}
    write(tmp_path / "systems", "few", few)
    comparisons = {"table_pidp": {"studies": ["few"], "seeds": [1, 7]}}
    content = {"studies": ["few"], "figures": {"figure_2a": []}, "comparisons": comparisons}
    config = load_config(write(tmp_path, "config", content))
    assert config.listed == ("few",)
    # The study that simulates is known as well, though nobody asks for its results.
    assert set(config.studies) == {"few", "few_seed1", "few_seed7", "base"}
    seeded = config.studies["few_seed7"]
    assert (seeded.pretraining.seed, seeded.training.seed, seeded.sampler.seed) == (7, 7, 7)
    assert seeded.data == config.studies["few"].data


@pytest.mark.parametrize("other", ["few", "valine"])
def test_replicas_of_another_study_are_of_the_same_molecules(tmp_path, other):
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "base", ALANINE)
    write(
        tmp_path / "systems", "valine", {"based_on": "base", "targets": {"val": {"sequence": "ACE-VAL-NME"}}}
    )
    write(tmp_path / "systems", "few", {"based_on": "base", "data": {"simulations_of": other}})
    path = write(tmp_path, "config", {"studies": ["few"], "figures": {"figure_2a": []}})
    with pytest.raises(ConfigError, match=r"data\.simulations_of: expected a study of the same targets"):
        load_config(path)


@pytest.mark.parametrize("seeds", [[], [1]])
def test_molecules_are_compared_over_seeds(tmp_path, seeds):
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "base", ALANINE)
    comparisons = {"table_pidp": {"studies": ["base"], "seeds": seeds}}
    content = {"studies": ["base"], "figures": {"figure_2a": []}, "comparisons": comparisons}
    with pytest.raises(ConfigError, match=r"comparisons\.table_pidp: expected two seeds or more; got"):
        load_config(write(tmp_path, "config", content))
