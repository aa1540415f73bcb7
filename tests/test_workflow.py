"""The workflow without its science: dry runs, what runs again after a change, style, the contract of rules.

Runs take place in a copy of the workflow whose scripts only create their files; the tiny run tests the real
scripts.
"""

import itertools
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
RULE_FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
STUDY = "config/systems/alanine_dipeptide.yaml"
CHAIN = {
    "build",
    "simulate",
    "simulate_competitor",
    "prepare",
    "prepare_reference",
    "train",
    "sample",
    "estimate_density",
    "interpolate",
    "evaluate",
    "table_metrics",
}
FIGURES = {
    f"figure_{name}" for name in ("landscape", "energies", "samplers", "density", "pathway", "learning_curve")
}
DENSITIES = {"pretrain_density", "evaluate_density", "table_energies_only", "figure_energies_only"}
PROTEINS = {"build_protein", "prepare_floor", "evaluate_protein", "condense_frames"}
STATES = {"interpolate_states", "evaluate_states", "figure_states", "figure_pathway_states"}
CRYSTALS = {
    "prepare_crystals", "train_property", "sample_crystals", "evaluate_crystals", "figure_crystals", "figure_property",
    "label_crystal",
}  # fmt: skip
ADSORPTION = {
    "build_surface", "map_energies", "bundle_surface", "prepare_adsorption", "sample_adsorbates", "map_density",
    "evaluate_adsorption", "average_held_out", "compare_sites", "figure_sites", "figure_adsorbates",
}  # fmt: skip
SEARCH = {"search_crystals", "gather_search", "tabulate_labels", "tabulate_relaxed"}
ELSEWHERE = (
    {"download", "gather_samples", "read_trajectory", "label_known", "gather_labels"}
    | SEARCH
    | {"relax_crystals"}
)
SCRIPT = """
from pathlib import Path

PIXEL = (
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def main(job):
    for path in map(Path, job.output):
        path.write_bytes(bytes.fromhex(PIXEL) if path.suffix == ".png" else b"metric,value\\ncoverage,1\\n")


if __name__ == "__main__":
    main(snakemake)
"""


def rules() -> dict[str, str]:
    """Return the text of every named rule that runs something."""
    texts = {}
    for path in RULE_FILES:
        for part in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            name, body = part.split(":", 1)
            # The rule ends where the next line starts at the margin.
            texts[name] = re.split(r"^(?=\S)", body, flags=re.MULTILINE)[0]
    return texts


RULES = rules()
SCRIPTED = {name: text for name, text in RULES.items() if "script:" in text}


def snakemake(folder: Path, *arguments: str, status: int = 0) -> str:
    """Run snakemake in a folder and return all it says; the exit status must be the expected one."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    answer = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == status, said
    return said


def jobs(said: str) -> dict[str, int]:
    """Return how often each rule runs, from the table of a dry run."""
    found = re.search(r"^job +count\n-+ +-+\n(.*?)\ntotal", said, re.MULTILINE | re.DOTALL)
    lines = found[1].splitlines() if found else []
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def bundled_names() -> set[str]:
    """Histograms of data/bundled that shipped studies name."""
    studies = [yaml.safe_load(path.read_text()) for path in (ROOT / "config/systems").glob("*.yaml")]
    return {study.get("data", {}).get("tight_reference") for study in studies} - {None}


@pytest.fixture
def workflow(tmp_path):
    """A copy of the workflow with scripts that only create their files."""
    for name in ("Snakefile", "rules", "config", "envs", "dig_core"):
        source, copy = ROOT / name, tmp_path / name
        ignored = shutil.ignore_patterns("__pycache__", "bundled")
        shutil.copytree(source, copy, ignore=ignored) if source.is_dir() else shutil.copy2(source, copy)
    # One study is enough for most; the shipped list has a dry run of its own.
    shutil.copy2(tmp_path / "config/config.yaml", tmp_path / "shipped.yaml")
    one = "studies: [alanine_dipeptide]\nfigures:\n  figure_2a: [alanine_dipeptide]\n"
    (tmp_path / "config/config.yaml").write_text(one)
    (tmp_path / "slurm").symlink_to("config/profiles/slurm")
    (tmp_path / "workflow_scripts").mkdir()
    for name in SCRIPTED:
        (tmp_path / "workflow_scripts" / f"{name}.py").write_text(f'"""Stand-in for {name}."""{SCRIPT}')
    (tmp_path / "dig_core/data/bundled").mkdir(parents=True)
    for name in bundled_names():
        (tmp_path / f"dig_core/data/bundled/{name}.npz").write_text("histogram")
    for name in (own.name for own in (ROOT / "dig_core/data/bundled").iterdir() if own.is_dir()):
        (tmp_path / f"dig_core/data/bundled/{name}").symlink_to(ROOT / f"dig_core/data/bundled/{name}")
    (tmp_path / "dig_core/plotting.py").touch()
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} stands there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def test_dry_run_of_everything_is_quick(workflow):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = snakemake(workflow, "-n")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert jobs(said) == {
        **dict.fromkeys(CHAIN | FIGURES | {"compare_samplers", "figure_2a", "all"}, 1),
        "simulate": 2,
    }
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 4.0


def test_dry_run_of_the_shipped_list(workflow):
    """The second study uses the replicas of the first, and adds pre-training and relaxation."""
    shutil.copy2(workflow / "shipped.yaml", workflow / "config/config.yaml")
    found = jobs(snakemake(workflow, "-n"))
    assert found["simulate"] == 2 and found["train"] == 2
    assert {"simulate_pretraining", "pretrain", "relax"} <= set(found)
    assert "table_pidp" not in found
    table = jobs(snakemake(workflow, "-n", "table_pidp"))
    listed = yaml.safe_load((workflow / "shipped.yaml").read_text())["comparisons"]["table_pidp"]
    assert table["evaluate"] == len(listed["studies"]) * len(listed["seeds"]) and table["simulate"] == 2
    assert jobs(snakemake(workflow, "-n", "table_stabilisers"))["pretrain_density"] >= 2 * 8


def test_no_function_of_the_rules_is_defined_twice():
    """The later one would take the place of the first in all rules."""
    names = [
        name for path in RULE_FILES for name in re.findall(r"^def (\w+)", path.read_text(), re.MULTILINE)
    ]
    assert len(names) > 50 and sorted(set(names)) == sorted(names)


def test_dry_run_of_every_target(workflow):
    edit(
        workflow / "config/config.yaml",
        "studies: [alanine_dipeptide]",
        "studies: [alanine_dipeptide, tiny, energies_only_tiny, peptides_tiny, two_states_tiny, carbon_tiny, adsorption_tiny]",
    )
    said = snakemake(workflow, "-n", "tiny", "figure_2a")
    assert set(jobs(said)) == CHAIN | FIGURES | {"compare_samplers", "relax", "tiny", "figure_2a"}
    molecule = {"system": "tiny", "target": "ala", "replica": "2"}
    density = {"system": "energies_only_tiny", "target": "pair", "form": "potential", "seed": "1"}
    protein = {"system": "peptides_tiny", "target": "GAA", "replica": "2"}
    known = {"system": "two_states_tiny", "target": "first"}
    crystal = {"system": "carbon_tiny", "target": "four", "place": "0"}
    adsorbate = {"system": "adsorption_tiny", "target": "O_on_Cu"}
    files = set()
    for name, text in RULES.items():
        # What only other studies need has tests of its own.
        if name in ELSEWHERE:
            continue
        outputs = "".join(re.findall(r"output:.*?params:", text, re.DOTALL))
        values = density if name in DENSITIES else protein if name in PROTEINS else molecule
        values = known if name in STATES else crystal if name in CRYSTALS else values
        values = adsorbate if name in ADSORPTION else values
        files |= {pattern.format(**values) for pattern in re.findall(r'"(results/[^"]*)"', outputs)}
    files = sorted(files)
    assert len(files) > 25
    inherited = {"simulate_competitor", "build_protein", "build_states", "prepare_floor", "train_property"}
    expected = {*SCRIPTED, *inherited} - ELSEWHERE
    assert set(jobs(snakemake(workflow, "-n", *files))) == expected


def test_dry_run_of_crystals(workflow):
    """Another target is drawn and evaluated; nothing is read or trained again for it. What is asked for needs the network of the property."""
    edit(workflow / "config/config.yaml", "studies: [alanine_dipeptide]", "studies: [carbon_tiny]")
    edit(workflow / "config/config.yaml", "figure_2a: [alanine_dipeptide]", "figure_2a: []")
    once = (
        "prepare_crystals",
        "train",
        "train_property",
        "figure_crystals",
        "figure_property",
        "figure_learning_curve",
        "table_metrics",
        "carbon_tiny",
    )
    assert jobs(snakemake(workflow, "-n", "carbon_tiny")) == dict.fromkeys(once, 1) | dict.fromkeys(
        ("sample_crystals", "evaluate_crystals"), 3
    )
    snakemake(workflow, "--cores", "1", "carbon_tiny")
    study = workflow / "config/systems/carbon_tiny.yaml"
    edit(study, "four: {atoms: {C: 4}}", "two: {atoms: {C: 2}}")
    found = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert found["sample_crystals"] == found["evaluate_crystals"] == 1
    assert not {"prepare_crystals", "train", "train_property"} & set(found)
    edit(study, "asked: 4.2}", "asked: 4.2, scale: 5.0}")
    found = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert found["sample_crystals"] == found["evaluate_crystals"] == 2
    edit(study, "guidance: {scale: 2.0}", "guidance: {scale: 3.0}")
    again = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert again["sample_crystals"] == 3 and not {"train", "train_property"} & set(again)
    snakemake(workflow, "--cores", "1", "carbon_tiny")
    (workflow / "mine.py").write_text("def predict(fractional, lattices_angstrom, atomic_numbers): ...\n")
    edit(study, "guidance: {scale: 3.0}", "predictor: mine.py\n  guidance: {scale: 3.0}")
    told = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert told["evaluate_crystals"] == 3 and "sample_crystals" not in told
    edit(study, "guidance: {scale: 3.0}", "guidance: {scale: 3.0, by: predictor}")
    guided = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert guided["sample_crystals"] == 2 and not {"train", "train_property"} & set(guided)


def test_dry_run_of_crystals_whose_property_is_computed(workflow):
    """The network of the property is trained on computed labels, that of the crystals is not."""
    edit(workflow / "config/config.yaml", "studies: [alanine_dipeptide]", "studies: [carbon_tiny]")
    edit(workflow / "config/config.yaml", "figure_2a: [alanine_dipeptide]", "figure_2a: []")
    labels = "  labels: {kind: quantum_espresso, samples: 2, known: 3, seed: 1}\n  training:\n    steps: 400"
    edit(workflow / "config/systems/carbon_tiny.yaml", "  training:\n    steps: 400", labels)
    found = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert (found["label_known"], found["gather_labels"], found["label_crystal"]) == (3, 1, 6)
    known = jobs(snakemake(workflow, "-n", "results/carbon_tiny/property/checkpoint.pt"))
    assert known == {"prepare_crystals": 1, "label_known": 3, "gather_labels": 1, "train_property": 1}
    network = jobs(snakemake(workflow, "-n", "results/carbon_tiny/model/checkpoint.pt"))
    assert network == {"prepare_crystals": 1, "train": 1}
    snakemake(workflow, "--cores", "1", "carbon_tiny")
    edit(workflow / "config/systems/carbon_tiny.yaml", "samples: 2, known", "samples: 3, known")
    more = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert more["label_crystal"] == 3 and not {"label_known", "gather_labels", "train_property"} & set(more)
    study = workflow / "config/systems/carbon_tiny.yaml"
    edit(study, "sampler: {steps", "relaxation: {samples: 4, seed: 1}\nsampler: {steps")
    more = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert (more["relax_crystals"], more["label_relaxed"], more["evaluate_crystals"]) == (3, 9, 3)
    assert not {"sample_crystals", "train_property"} & set(more)
    table = jobs(snakemake(workflow, "-n", "results/carbon_tiny/relaxed.csv"))
    assert table == {"relax_crystals": 3, "label_relaxed": 9, "tabulate_relaxed": 1}
    edit(study, "asked: 4.2}", "asked: 4.2, examined: false}")
    less = jobs(snakemake(workflow, "-n", "carbon_tiny"))
    assert (less["relax_crystals"], less["label_relaxed"]) == (2, 6) and "sample_crystals" not in less
    table = jobs(snakemake(workflow, "-n", "results/carbon_tiny/relaxed.csv"))
    assert (table["relax_crystals"], table["label_relaxed"]) == (2, 6)


def test_dry_run_of_crystals_that_are_drawn_from_the_network_of_another_study(workflow):
    """That study is trained first, and nothing else of it is made; another number of its steps makes everything anew."""
    shutil.copy2(workflow / "shipped.yaml", workflow / "config/config.yaml")
    chosen = "--config", "studies=[carbon_24_gaps]", "figures={figure_2a: []}", "--"
    found = jobs(snakemake(workflow, "-n", *chosen, "carbon_24_gaps"))
    assert (found["prepare_crystals"], found["train"], found["train_property"]) == (2, 2, 1)
    assert (found["sample_crystals"], found["label_crystal"], found["label_relaxed"]) == (6, 160, 160)
    assert "figure_learning_curve" not in found and found["evaluate_crystals"] == 6
    samples = "results/carbon_24_gaps/six/samples.npz"
    snakemake(workflow, "--cores", "1", *chosen, samples)
    edit(workflow / "config/systems/carbon_24.yaml", "  steps: 5000", "  steps: 5001")
    again = jobs(snakemake(workflow, "-n", *chosen, samples))
    assert again == {"train": 2, "sample_crystals": 1}


def test_figures_4_and_5_are_made_of_figures_of_their_studies(workflow):
    edit(workflow / "config/config.yaml", "studies: [alanine_dipeptide]", "studies: [adsorption_tiny]")
    shown = "figures={figure_2a: [], figure_4: [adsorption_tiny], figure_5: [carbon]}"
    wanted = jobs(snakemake(workflow, "-n", "--config", shown, "--", "figure_4", "figure_5"))
    drawn = {name: count for name, count in wanted.items() if name.startswith("figure")}
    expected = (
        "figure_4",
        "figure_adsorbates",
        "figure_sites",
        "figure_5",
        "figure_property",
        "figure_crystals",
    )
    assert drawn == dict.fromkeys(expected, 1)
    assert not {"figure_4", "figure_5"} & set(jobs(snakemake(workflow, "-n", "--config", shown)))


def test_dry_run_of_adsorption(workflow):
    """What is held out has its energies computed, but is no input of the training; more structures compute none again."""
    edit(workflow / "config/config.yaml", "studies: [alanine_dipeptide]", "studies: [adsorption_tiny]")
    edit(workflow / "config/config.yaml", "figure_2a: [alanine_dipeptide]", "figure_2a: []")
    said = snakemake(workflow, "-n", "adsorption_tiny")
    of_a_target = ("build_surface", "map_energies", "sample_adsorbates", "map_density", "evaluate_adsorption")
    of_the_study = (
        "prepare_adsorption",
        "average_held_out",
        "compare_sites",
        "train",
        "figure_sites",
        "figure_adsorbates",
        "figure_learning_curve",
        "table_metrics",
    )
    assert jobs(said) == dict.fromkeys(of_a_target, 4) | dict.fromkeys((*of_the_study, "adsorption_tiny"), 1)
    inputs = re.search(r"^rule train:\n +input: (.*)$", said, re.MULTILINE)[1]
    assert re.findall(r"(\w+)/molecule", inputs) == ["H_on_Cu", "H_on_Ag", "O_on_Cu"]
    snakemake(workflow, "--cores", "1", "adsorption_tiny")
    study = workflow / "config/systems/adsorption_tiny.yaml"
    edit(study, "structures: 500", "structures: 501")
    again = jobs(snakemake(workflow, "-n", "adsorption_tiny"))
    assert again["prepare_adsorption"] == again["train"] == 1 and "map_energies" not in again
    loss = "{kind: fokker_planck, form: score, narrowest: 0.15, residual: 0.17, curriculum: 0.5}"
    steps = "steps: 10, batch_size: 8, learning_rate: 1.0e-3, warmup_steps: 2, seed: 1"
    edit(study, "density: {", f"pretraining: {{structures: 50, loss: {loss}, {steps}}}\ndensity: {{")
    said = snakemake(workflow, "-n", "adsorption_tiny")
    energies = re.search(r"^rule pretrain:\n +input: (.*)$", said, re.MULTILINE)[1]
    assert re.findall(r"(\w+)/energies", energies) == ["H_on_Cu", "H_on_Ag", "O_on_Cu"]
    again = jobs(said)
    assert again["pretrain"] == again["train"] == 1 and not {"map_energies", "simulate_pretraining"} & set(
        again
    )
    edit(study, "density: {tolerance: 0.1}", "density: {tolerance: 0.1, held_out_only: true}")
    assert jobs(snakemake(workflow, "-n", "adsorption_tiny"))["map_density"] == 1
    edit(study, ", held_out_only: true", "")
    edit(study, "lattice_angstrom: 4.06}, held_out: true}", "lattice_angstrom: 4.06}}")
    again = jobs(snakemake(workflow, "-n", "adsorption_tiny"))
    assert again["train"] == 1 and not {"build_surface", "map_energies"} & set(again)
    edit(study, "points: 12", "points: 24")
    again = jobs(snakemake(workflow, "-n", "adsorption_tiny"))
    assert again["map_energies"] == 4 and "build_surface" not in again


def test_a_study_is_made_by_its_name_without_being_listed(workflow):
    """The same jobs as where it is listed; what is made by default stays as it was."""
    edit(workflow / "config/config.yaml", "figure_2a: [alanine_dipeptide]", "figure_2a: []")
    before = jobs(snakemake(workflow, "-n"))
    listed = "--config", "studies=[adsorption_tiny]", "--"
    own = jobs(snakemake(workflow, "-n", "adsorption_tiny"))
    assert own["adsorption_tiny"] == 1 and own == jobs(snakemake(workflow, "-n", *listed, "adsorption_tiny"))
    one = jobs(snakemake(workflow, "-n", "results/adsorption_tiny/O_on_Ag/energies.npz"))
    assert one == {"build_surface": 1, "map_energies": 1}
    assert jobs(snakemake(workflow, "-n")) == before and "adsorption_tiny" not in before


def test_dry_run_of_a_search(workflow):
    """What is found is divided like the crystals of files; it can be labelled, and another window repeats no relaxation."""
    chosen = "--config", "studies=[carbon_search]", "figures={figure_2a: []}"
    edit(workflow / "config/systems/carbon_search.yaml", "jobs: 20", "jobs: 3")
    table = "results/carbon_search/property/labelled.csv"
    found = jobs(snakemake(workflow, "-n", *chosen, "--", table))
    assert found == {
        "search_crystals": 3,
        "gather_search": 1,
        "prepare_crystals": 1,
        "label_known": 30,
    } | dict.fromkeys(("gather_labels", "tabulate_labels"), 1)
    snakemake(workflow, "--cores", "1", *chosen, "--", table)
    edit(workflow / "config/systems/carbon_search.yaml", "window_eV_per_atom: 0.6", "window_eV_per_atom: 0.7")
    again = jobs(snakemake(workflow, "-n", *chosen, "--", table))
    assert "search_crystals" not in again and again["gather_search"] == again["prepare_crystals"] == 1
    edit(workflow / "config/systems/carbon_search.yaml", "pressure_GPa: 10.0", "pressure_GPa: 0.0")
    assert jobs(snakemake(workflow, "-n", *chosen, "--", table))["search_crystals"] == 3


def test_dry_run_of_proteins(workflow):
    """A held-out target is simulated, drawn and evaluated, but its descriptor is no input of the training."""
    edit(workflow / "config/config.yaml", "studies: [alanine_dipeptide]", "studies: [peptides_tiny]")
    edit(workflow / "config/config.yaml", "figure_2a: [alanine_dipeptide]", "figure_2a: [peptides_tiny]")
    said = snakemake(workflow, "-n", "peptides_tiny")
    of_a_target = ("build_protein", "prepare_reference", "sample", "evaluate_protein")
    of_the_study = ("prepare", "train", "table_metrics", "figure_landscape", "figure_learning_curve")
    assert jobs(said) == {
        **dict.fromkeys(of_a_target, 3),
        "simulate": 6,
        "prepare_floor": 1,
        **dict.fromkeys((*of_the_study, "peptides_tiny"), 1),
    }
    inputs = re.search(r"^rule train:\n +input: (.*)$", said, re.MULTILINE)[1]
    assert re.findall(r"(\w+)/molecule", inputs) == ["AGA", "GAG"]
    assert re.search(r"input: \S+/all_atoms.pdb, \S+/molecule.npz\n +output: \S+/simulation/1.npz", said)


def test_dry_run_of_a_protein_that_folds(workflow):
    """Its structure is fetched, its dynamics bundled; both replicas are read again by the evaluation, where their events are counted."""
    shutil.copy2(workflow / "shipped.yaml", workflow / "config/config.yaml")
    alone = ("--config", "studies=[chignolin]", "figures={figure_2a: []}", "--")
    said = snakemake(workflow, "-n", *alone, "chignolin")
    of_the_target = ("download", "build_protein", "prepare_reference", "sample", "evaluate_protein")
    of_the_study = ("prepare", "train", "table_metrics", "figure_landscape", "figure_learning_curve")
    assert jobs(said) == dict.fromkeys((*of_the_target, *of_the_study, "chignolin"), 1)
    inputs = re.search(r"^rule evaluate_protein:\n +input: (.*)$", said, re.MULTILINE)[1]
    assert re.findall(r"bundled/chignolin/chignolin_(\d).npz", inputs) == ["1", "2"]
    study = workflow / "config/systems/chignolin.yaml"
    edit(study, "friction_per_ps: 1.0", "friction_per_ps: 2.0")
    said = snakemake(workflow, "-n", *alone, "chignolin")
    assert jobs(said)["simulate"] == 2, "other dynamics than the bundled one"
    inputs = re.search(r"^rule evaluate_protein:\n +input: (.*)$", said, re.MULTILINE)[1]
    assert re.findall(r"simulation/(\d).npz", inputs) == ["1", "2"]


def test_dry_run_of_known_structures(workflow):
    """Nothing is simulated; files from elsewhere are fetched; figure 2b is made when it is asked for."""
    shutil.copy2(workflow / "shipped.yaml", workflow / "config/config.yaml")
    said = snakemake(workflow, "-n", "figure_2b")
    of_a_target = ("build_states", "sample", "interpolate_states", "evaluate_states")
    of_the_study = (
        "prepare",
        "train",
        "table_metrics",
        "figure_states",
        "figure_pathway_states",
        "figure_learning_curve",
    )
    assert jobs(said) == {
        **dict.fromkeys(of_a_target, 3),
        "download": 8,
        **dict.fromkeys(("prepare", "train", "figure_2b"), 1),
    }
    assert "figure_2b" not in jobs(snakemake(workflow, "-n"))
    inputs = re.search(r"^rule prepare:\n +input: (.*)$", said, re.MULTILINE)[1]
    assert set(re.findall(r"two_states/(\w+)/", inputs)) == {"adenylate_kinase", "ribose_binding_protein"}
    alone = ("--config", "studies=[two_states_tiny]", "figures={figure_2a: []}", "--")
    own = jobs(snakemake(workflow, "-n", *alone, "two_states_tiny"))
    assert own == {
        **dict.fromkeys(of_a_target, 2),
        **dict.fromkeys((*of_the_study, "two_states_tiny"), 1),
    }
    transitions = re.findall(
        r"^rule evaluate_states:\n +input: .*?(\S+dcd, \S+psf)?, dig_core", said, re.MULTILINE
    )
    assert sorted(transitions) == ["", "", "results/downloads/adk_dims.dcd, results/downloads/adk.psf"]


def test_paths_between_known_structures_run_again_alone_and_may_be_left_out(workflow):
    """A change of the path moves neither network nor samples; without paths no transition is fetched."""
    study, alone = workflow / "config/systems/two_states_tiny.yaml", ("--config", "studies=[two_states_tiny]")
    alone += ("figures={figure_2a: []}", "--")
    snakemake(workflow, "--cores", "2", *alone, "two_states_tiny")
    for name in ("way.dcd", "way.psf"):
        (workflow / name).touch()
    known = "    transition: {trajectory: way.dcd, topology: way.psf, biased: true}\n  second:\n"
    edit(study, "  second:\n", known)
    said = jobs(snakemake(workflow, "-n", *alone, "two_states_tiny"))
    assert said["evaluate_states"] == 1
    assert not {"build_states", "train", "sample", "interpolate_states"} & set(said)
    edit(study, known, "  second:\n")
    edit(study, "points: 9", "points: 5")
    again = {
        "interpolate_states",
        "evaluate_states",
        "table_metrics",
        "figure_states",
        "figure_pathway_states",
    }
    assert set(jobs(snakemake(workflow, "-n", *alone, "two_states_tiny"))) == again | {"two_states_tiny"}
    shutil.copy2(workflow / "shipped.yaml", workflow / "config/config.yaml")
    (workflow / "config/systems/without.yaml").write_text("based_on: two_states\ninterpolation: null\n")
    said = snakemake(
        workflow, "-n", "--config", "studies=[without]", "figures={figure_2a: []}", "--", "without"
    )
    assert (
        not {"interpolate_states", "figure_pathway_states"} & set(jobs(said)) and jobs(said)["download"] == 6
    )


def test_dry_run_at_the_scale_of_the_paper(workflow):
    """All stages, from the PDB's entries and a user's trajectories to the figures; nothing is there but the names of files."""
    text = (workflow / "config/systems/protein_paper.yaml").read_text()
    placeholders = sorted(set(re.findall(r"trajectories/[\w/.]+", text)))
    assert len(placeholders) == 9
    for file in map(workflow.joinpath, placeholders):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    shutil.copy2(workflow / "shipped.yaml", workflow / "config/config.yaml")
    told = embeddings_study(workflow)
    studies = "studies=[protein_paper, protein_paper_states, told]"
    alone = ("--config", studies, "figures={figure_2a: []}", "--")
    said = snakemake(
        workflow, "-n", *alone, "protein_paper", "protein_paper_states", "results/told/GAA/molecule.npz"
    )
    found = jobs(said)
    assert found == {
        "download": 8, "build_states": 6, "build_protein": 1, "read_trajectory": 6, "prepare": 3, "train": 3,
        "prepare_reference": 3, "prepare_floor": 2, "sample_shard": 50, "gather_samples": 5, "evaluate_protein": 3,
        "evaluate_states": 2, "figure_landscape": 1, "figure_learning_curve": 1, "figure_states": 1, "table_metrics": 2,
        "protein_paper": 1, "protein_paper_states": 1,
    }  # fmt: skip
    inputs = re.findall(r"^rule train:\n +input: (.*)$", said, re.MULTILINE)
    starts = {
        re.findall(r"results/(\w+)/model/checkpoint.pt", own)[0] for own in inputs if "checkpoint" in own
    }
    assert len(inputs) == 3 and starts == {"protein_paper_pdb", "protein_paper"}
    read = re.findall(r"^rule read_trajectory:\n +input: (.*)$", said, re.MULTILINE)
    assert any(own.startswith("trajectories/rbd/2.xtc, trajectories/rbd/topology.pdb") for own in read)
    assert told in re.search(r"^rule build_protein:\n +input: (.*)$", said, re.MULTILINE)[1]


def test_dry_run_of_a_pretraining_that_starts_from_another_study(workflow):
    """The middle stage of three: its pre-training takes the other network, its training what that leaves."""
    (workflow / "config/systems/middle.yaml").write_text(
        "based_on: peptides_few_pidp\ntraining: {start_from: peptides}\n"
    )
    alone = ("--config", "studies=[middle]", "figures={figure_2a: []}", "--")
    said = snakemake(workflow, "-n", *alone, "results/middle/model/checkpoint.pt")
    (pretrain,) = re.findall(r"^rule pretrain:\n +input: (.*)$", said, re.MULTILINE)
    trained = re.findall(r"^rule train:\n +input: (.*)$", said, re.MULTILINE)
    assert "results/peptides/model/checkpoint.pt" in pretrain and len(trained) == 2
    assert [own for own in trained if "middle/model/pretrained.pt" in own and "peptides/model" not in own]


def embeddings_study(workflow: Path) -> str:
    """Write a study `told` whose target GAA has embeddings; their file."""
    (workflow / "own.npz").touch()
    (workflow / "config/systems/told.yaml").write_text(
        "based_on: peptides_tiny\n"
        "targets: {GAA: {sequence: ACE-GLY-ALA-ALA-NME, embeddings: own.npz}}\n"
        "model: {single_features: 384}\n"
    )
    return "own.npz"


def test_bundled_replicas_of_proteins_are_read_and_not_simulated(workflow):
    """Replicas of just these settings; those of another sequence or another duration are simulated."""
    study, alone = (
        workflow / "config/systems/own.yaml",
        ("--config", "studies=[own]", "figures={figure_2a: []}"),
    )
    study.write_text("based_on: peptides\n")
    said = snakemake(workflow, "-n", *alone, "--", "own")
    assert "simulate" not in jobs(said) and jobs(said)["prepare_reference"] == 11
    trained, held_out = (
        re.search(rf"^rule {rule}:\n +input: (.*)$", said, re.MULTILINE)[1]
        for rule in ("prepare", "prepare_reference")
    )
    assert set(re.findall(r"peptides/\w+_(\d)\.npz", trained)) == {"1"}
    assert re.findall(r"peptides/\w+_(\d)\.npz", held_out) == ["2"]
    for change in (
        "data: {duration_ns: 20.0}",
        "temperature_K: 310.0",
        "targets: {SAPS: {sequence: ACE-SER-NME}}",
    ):
        study.write_text(f"based_on: peptides\n{change}\n")
        said = jobs(snakemake(workflow, "-n", *alone, "--", "own"))
        assert said["simulate"] == (2 if "targets" in change else 22)
    study.write_text(
        "based_on: peptides\ntargets: {new: {sequence: GAGA}, SAPS: {sequence: ACE-SER-ALA-PRO-SER-NME}}\n"
    )
    assert jobs(snakemake(workflow, "-n", *alone, "--", "own"))["simulate"] == 2
    study.write_text("based_on: peptides\ndata: {bundled: peptide}\n")
    told = "expected one of ['adsorption', 'adsorption_co', 'chignolin', 'peptides']; got 'peptide'. Did you mean"
    assert told in snakemake(workflow, "-n", *alone, "--", "own", status=1)


def test_a_run_its_report_and_what_runs_again(workflow):
    said = snakemake(workflow, "--cores", "2")
    assert re.search(
        r"^20 jobs to run: about \d+ minutes on 2 core\(s\) and \d+ MB of disk$", said, re.MULTILINE
    )
    assert "Nothing to be done" in snakemake(workflow, "-n")

    snakemake(workflow, "--report", "results/report.html")
    report = (workflow / "results/report.html").read_text()
    assert "Learning curve: denoising loss" in report and "figure 2a" in report
    assert re.search(r"<(script|link|img)[^>]*(src|href)=[\"']https?:", report) is None

    study = workflow / STUDY
    edit(study, "  steps: 25\n", "  steps: 20\n")
    after_sampling = {"evaluate", "table_metrics"} | FIGURES - {"figure_learning_curve"}
    again = set(jobs(snakemake(workflow, "-n")))
    assert again == {"sample", "figure_2a", "all"} | after_sampling
    edit(study, "  steps: 20\n", "  steps: 25\n")

    edit(study, "  points: 31 ", "  points: 21 ")
    again = set(jobs(snakemake(workflow, "-n")))
    assert again >= {"interpolate", "evaluate", "figure_pathway"} and not {"train", "sample"} & again
    edit(study, "  points: 21 ", "  points: 31 ")

    # A longer competitor repeats no replica; an edited library file repeats the figures that use it.
    duration = yaml.safe_load(study.read_text())["data"]["competitor_duration_ns"]
    edit(study, f"competitor_duration_ns: {duration}", "competitor_duration_ns: 46.0")
    (workflow / "dig_core/plotting.py").write_text("# edited\n")
    again = jobs(snakemake(workflow, "-n"))
    assert again["simulate_competitor"] == 1 and "figure_learning_curve" in again
    assert not {
        "simulate",
        "prepare",
        "train",
        "sample",
        "estimate_density",
        "interpolate",
        "compare_samplers",
    } & set(again)

    edit(study, "  ema_decay: 0.999", "  ema_decay: 0.99")
    again = jobs(snakemake(workflow, "-n"))
    assert "train" in again and "sample" in again and "prepare" not in again
    assert again["simulate_competitor"] == 1 and "simulate" not in again, "still only the competitor"


def test_relaxation_runs_again_without_the_sampling(workflow):
    """Adding, changing and removing it: the samples and the network stay as they are."""
    study, target = workflow / STUDY, "results/alanine_dipeptide/ala/metrics.json"
    assert "relax" not in jobs(snakemake(workflow, "-n", target))
    snakemake(workflow, "--cores", "2", target)
    none = "  relaxation: null "
    short = "  relaxation: {steps: 65, timestep_fs: 2.0, friction_per_ps: 50.0, seed: 1} "
    edit(study, none, short)
    assert jobs(snakemake(workflow, "-n", target)) == {"relax": 1, "evaluate": 1}
    snakemake(workflow, "--cores", "2", target)
    assert "Nothing to be done" in snakemake(workflow, "-n", target)
    edit(study, short, short.replace("65", "70"))
    assert jobs(snakemake(workflow, "-n", target)) == {"relax": 1, "evaluate": 1}
    edit(study, short.replace("65", "70"), none)
    assert jobs(snakemake(workflow, "-n", target)) == {"evaluate": 1}
    edit(study, none, short)
    edit(study, "  samples: 10000", "  samples: 5000")
    assert jobs(snakemake(workflow, "-n", target)) == {"sample": 1, "relax": 1, "evaluate": 1}


def test_a_target_is_drawn_by_as_many_jobs_as_it_has_shards(workflow):
    edit(workflow / STUDY, "  samples: 10000", "  samples: 10000\n  shards: 7")
    found = jobs(snakemake(workflow, "-n"))
    assert found["sample_shard"] == 7 and found["gather_samples"] == 1 and "sample" not in found


def test_densities_run_again_without_the_samples_and_only_where_they_are_asked_for(workflow):
    study, target = workflow / STUDY, "results/alanine_dipeptide/ala/metrics.json"
    snakemake(workflow, "--cores", "2", target)
    edit(study, "  draws: 800 ", "  draws: 900 ")
    assert jobs(snakemake(workflow, "-n", target)) == {"estimate_density": 1, "evaluate": 1}
    text = study.read_text()
    study.write_text(text[: text.index("density:")])
    assert jobs(snakemake(workflow, "-n", target)) == {"evaluate": 1}
    assert "figure_density" not in jobs(snakemake(workflow, "-n", "alanine_dipeptide"))


@pytest.mark.parametrize("profile", ["slurm", "config/profiles/workstation"])
def test_profile_resolves_from_the_checkout(workflow, profile):
    assert jobs(snakemake(workflow, "-n", "--profile", profile))["simulate"] == 2


def test_slurm_profile_sends_short_jobs_together_and_has_jobs_warned_before_their_limit(workflow):
    said = snakemake(workflow, "-n", "--profile", "slurm")
    short = {"evaluate", "table_metrics"} | FIGURES - {"figure_learning_curve"}
    assert said.count("Group job evaluation") == 1
    assert set(re.findall(r"^ {4}rule (\w+):", said, re.MULTILINE)) == short
    assert said.count("slurm_extra=--signal=TERM@120") == said.count("runtime=")


def test_a_retry_asks_for_more_memory_up_to_three_times_as_much(workflow):
    (workflow / "workflow_scripts/build.py").write_text(
        "from pathlib import Path\n"
        "with open('asked.txt', 'a') as asked:\n    print(snakemake.resources.mem_mb, file=asked)\n"
        "if len(Path('asked.txt').read_text().split()) < 4:\n    raise SystemExit(1)\n"
        "[Path(file).touch() for file in snakemake.output]\n"
    )
    target = "results/alanine_dipeptide/ala/topology.pdb"
    snakemake(workflow, "--cores", "1", "--retries", "3", target)
    assert (workflow / "asked.txt").read_text().split() == ["2000", "4000", "6000", "6000"]


def test_every_entry_of_a_profile_is_explained():
    for path in (ROOT / "config/profiles").glob("*/config.yaml"):
        lines = path.read_text().splitlines()
        for before, line in itertools.pairwise(lines):
            if line and not line.lstrip().startswith("#"):
                assert before.lstrip().startswith("#"), f"{path}: no comment above {line!r}"
    assert not (ROOT / "config/profiles/default").exists(), "it would silently override --profile"


def test_link_to_the_slurm_profile():
    assert os.readlink(ROOT / "slurm") == "config/profiles/slurm"


def test_other_molecule_and_own_trajectory_need_only_a_file(workflow):
    text = (
        (workflow / STUDY).read_text().replace("ala: {sequence: ACE-ALA-NME}", "ser: {sequence: ACE-SER-NME}")
    )
    (workflow / "config/systems/serine.yaml").write_text(text)
    for name in ("1.xtc", "2.xtc", "top.pdb"):
        (workflow / name).touch()
    data = {"source": "trajectory", "files": ["1.xtc", "2.xtc"], "topology": "top.pdb"}
    own = {"based_on": "alanine_dipeptide", "data": data, "training": {"control_variate": None}}
    (workflow / "config/systems/mine.yaml").write_text(yaml.safe_dump(own))
    said = snakemake(
        workflow, "-n", "--config", "studies=[serine, mine]", "figures={figure_2a: [serine, mine]}"
    )
    found = jobs(said)
    assert (
        found["simulate"] == 2 and found["train"] == found["evaluate"] == 2 and found["figure_energies"] == 1
    )
    assert "results/serine/ser/metrics.json" in said and "results/mine/ala/metrics.json" in said
    assert "results/mine/ala/simulation" not in said
    assert re.search(r"rule prepare:\n +input: 1\.xtc, results/mine", said)
    assert re.search(r"rule prepare_reference:\n +input: 2\.xtc, results/mine", said)


def test_one_study_alone_without_the_figures_of_others(workflow):
    """What `make verify STUDY=` and the tight reference of another study ask for."""
    alone = ("--config", "studies=[valine_dipeptide]", "figures={figure_2a: []}", "--")
    assert jobs(snakemake(workflow, "-n", *alone, "valine_dipeptide"))["simulate"] == 2
    assert "'figures={figure_2a: []}'" in (ROOT / "Makefile").read_text()
    long = ("--config", "studies=[alanine_dipeptide_long]", "figures={figure_2a: []}", "--")
    target = "results/alanine_dipeptide_long/ala/tight_reference.npz"
    assert set(jobs(snakemake(workflow, "-n", *long, target))) == {"build", "simulate", "condense_reference"}


def test_mistake_in_a_study_is_one_line(workflow):
    edit(workflow / STUDY, "temperature_K:", "temprature_K:")
    said = snakemake(workflow, "-n", status=1)
    assert (
        said == f"error: {STUDY}: expected a known key; got 'temprature_K'. Did you mean 'temperature_K'?\n"
    )


def test_list_of_rules_is_the_help(workflow):
    said = snakemake(workflow, "--list-rules")
    listed = dict(re.findall(r"^(\w+) \((.+)\)$", said, re.MULTILINE))
    inherited = {
        "train_property",
        "label_relaxed",
        "simulate_competitor",
        "sample_shard",
        "build_protein",
        "build_states",
        "figure_2b",
        "prepare_floor",
    }
    assert set(RULES) | {"alanine_dipeptide"} | inherited == set(listed)
    assert all(20 < len(text) < 110 and text.endswith(".") for text in listed.values()), listed


def test_lint(workflow):
    assert "good condition" in snakemake(workflow, "--lint")


def test_snakefmt():
    command = [sys.executable, "-m", "snakefmt", "--check", *map(str, RULE_FILES)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_snakefile_is_a_table_of_contents():
    lines = (ROOT / "Snakefile").read_text().splitlines()
    allowed = r"(from snakemake\.utils|min_version|include:|rule all:|    |$)"
    assert [line for line in lines if not re.match(allowed, line)] == []


@pytest.mark.parametrize("name", sorted(SCRIPTED))
def test_contract_of_a_rule(name):
    text = SCRIPTED[name]
    assert re.match(r'\n    """[^\n"]+"""\n', text), "a one-line docstring comes first"
    parts = () if name == "download" else ("input:",)
    for part in (*parts, "output:", "params:", "log:", "threads:", "mem_mb=", "runtime=", "conda:"):
        assert part in text, f"rule {name}: expected {part}; got none"
    assert f'"results/logs/{name}' in text
    assert f'"../workflow_scripts/{name}.py"' in text
    environment = re.search(r'conda:\n\s+"\.\./(envs/\w+\.yaml)"', text)
    assert (ROOT / environment[1]).is_file()


@pytest.mark.parametrize("name", sorted(SCRIPTED))
def test_rule_has_its_script(name):
    text = (ROOT / "workflow_scripts" / f"{name}.py").read_text()
    assert "def main(job" in text and '__name__ == "__main__"' in text and "snakemake.config" not in text
