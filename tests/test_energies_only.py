"""The study of densities with a known truth: its settings, its dry run, and its tiny twin with the real scripts."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from test_config import mistake, write
from test_tiny_study import checkout, snakemake
from test_workflow import jobs

from dig_core import costs, job_memory
from dig_core.config import load_config, load_study
from dig_core.evaluation.expectations import of_target
from dig_core.files import load_arrays, load_provenance
from dig_core.settings.description import describe
from dig_core.settings.validation import ConfigError

ROOT = Path(__file__).parents[1]
STUDY = yaml.safe_load((ROOT / "config/systems/energies_only.yaml").read_text())
ALONE = ("--config", "studies=[energies_only]", "figures={figure_2a: []}", "--")


def changed(path: str, value: object) -> dict:
    """The study with one value replaced; `path` has dots."""
    values = copy.deepcopy(STUDY)
    *parents, last = path.split(".")
    section = values
    for key in parents:
        section = section[key]
    section[last] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("targets.mixture.weights", [1.0, 2.0], ["targets.mixture: ", "3 means and 2 weights"]),
        ("targets.mixture.weights", [4.0, 4.0, -1.0], ["targets.mixture.weights.2", "greater than 0"]),
        ("targets.mixture.wieghts", [4.0], ["targets.mixture: ", "Did you mean 'weights'?"]),
        ("targets.mixture.energy", "gausian_mixture", ["targets.mixture.energy", "Did you mean 'gaussian_mixture'?"]),
        ("targets.double_well.particles", 1, ["targets.double_well.particles", "greater than or equal to 2"]),
        ("targets.mueller_brown.scale", 0.0, ["targets.mueller_brown.scale", "greater than 0"]),
        ("targets", {}, ["targets", "at least 1"]),
        ("forms", ["potental"], ["forms.0", "'potental'", "Did you mean 'potential'?"]),
        ("forms", [], ["forms", "at least 1"]),
        ("seeds", [0], ["seeds.0", "greater than 0"]),
        ("pretraining.steps", {"score": 10}, ["pretraining.steps of every form", "none of 'potential'"]),
        ("pretraining.curriculum", 0.0, ["pretraining.curriculum", "greater than 0"]),
        ("pretraining.learning_rate", "1e-2", ["pretraining.learning_rate", "Write 1.0e-2"]),
        ("sampler.until_valid", True, ["sampler: ", "'until_valid'"]),
        ("temperature_K", 300.0, ["'temperature_K'"]),
        ("kind", "analytical", ["kind", "'molecule'", "Did you mean 'analytic'?"]),
    ],
)  # fmt: skip
def test_mistake_gives_one_line(tmp_path, path, value, told):
    text = mistake(tmp_path, changed(path, value))
    assert "expected" in text and "got" in text
    for part in told:
        assert part in text


@pytest.mark.parametrize(
    "shown",
    [
        {"figures": {"figure_2a": ["densities"]}},
        {"figures": {}, "comparisons": {"table_pidp": {"studies": ["densities"], "seeds": [1, 2]}}},
    ],
)
def test_landscapes_and_comparisons_of_molecules_refuse_the_study(tmp_path, shown):
    (tmp_path / "systems").mkdir()
    write(tmp_path / "systems", "densities", STUDY)
    path = write(tmp_path, "config", {"studies": ["densities"], **shown})
    told = r"(figures\.figure_2a|comparisons\.table_pidp): expected a study of molecules( or proteins with landscapes)?; got 'densities', of kind analytic"
    with pytest.raises(ConfigError, match=told):
        load_config(path)


def test_description_and_cost_follow_from_the_settings():
    study, tiny = (
        load_study(ROOT / f"config/systems/{n}.yaml") for n in ("energies_only", "energies_only_tiny")
    )
    assert "3 training(s) each" in describe(study)
    assert costs.cost("pretrain_density", study).seconds > 3 * costs.cost("pretrain_density", tiny).seconds
    assert job_memory.memory_MB("pretrain_density", study) == 2000


def test_dry_run_has_a_job_per_target_form_and_seed(tmp_path):
    folder = checkout(tmp_path, "[energies_only]")
    found = jobs(snakemake(folder, "-n", *ALONE, "energies_only"))
    assert found == {
        "pretrain_density": 3 * 2 * 3,
        "evaluate_density": 3,
        "table_energies_only": 1,
        "figure_energies_only": 1,
        "energies_only": 1,
    }


def test_both_kinds_side_by_side(tmp_path):
    folder = checkout(tmp_path, "[tiny, energies_only_tiny]")
    (folder / "config/config.yaml").write_text(
        "studies: [tiny, energies_only_tiny]\nfigures: {figure_2a: [tiny]}\n"
    )
    found = jobs(snakemake(folder, "-n"))
    assert found["evaluate"] == found["evaluate_density"] == found["table_metrics"] == 1
    assert found["table_energies_only"] == found["pretrain_density"] == found["train"] == 1


def test_expectations_name_targets_and_metrics_of_the_study():
    expected = json.loads((ROOT / "tests/expected/energies_only.json").read_text())
    assert set(expected["targets"]) <= set(STUDY["targets"])
    mixture = of_target(expected, "mixture")
    assert mixture["score_error_potential_worst"]["max"] <= 0.06
    assert mixture["population_error_potential_worst"]["max"] <= 0.05
    assert of_target(expected, "unknown") == {"samples": {"min": 10000}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The finished tiny study."""
    folder = checkout(tmp_path_factory.mktemp("densities"), "[energies_only_tiny]")
    (folder / "config/config.yaml").write_text("studies: [energies_only_tiny]\nfigures: {}\n")
    snakemake(folder, "all")
    return folder


def test_weights_of_separated_modes_are_above_chance(tiny):
    """Structures that were trained on are half and half; the truth is 0.8 and 0.2."""
    found = json.loads((tiny / "results/energies_only_tiny/pair/metrics.json").read_text())
    assert found["population_mode_1_exact"] == pytest.approx(0.8, abs=1e-3)
    assert found["population_mode_1_potential_seed_1"] == pytest.approx(0.8, abs=0.15)
    assert found["score_error_potential_worst"] < 0.5
    assert found["energy_calls_potential_worst"] == 300 * 80 + 4000


def test_the_summary_prints_the_table(tiny):
    script = [sys.executable, "workflow_scripts/summary.py"]
    environment = os.environ | {"PYTHONPATH": str(tiny)}
    told = subprocess.run(
        script, cwd=tiny, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "energies_only_tiny, pair: 2000 samples" in told and "largest error of a weight" in told


def test_everything_is_there_and_documented(tiny):
    folder = tiny / "results/energies_only_tiny"
    for suffix in ("png", "pdf", "parquet"):
        assert (folder / f"figures/energies_only.{suffix}").stat().st_size > 1000
    shown = pandas.read_parquet(folder / "figures/energies_only.parquet")
    assert set(shown["series"]) == {"exact", "potential_seed_1"}
    table = pandas.read_csv(tiny / "results/tables/energies_only_tiny.csv")
    assert set(table["form"]) == {"exact", "noise floor", "plain chains", "potential"}
    assert load_provenance(folder / "pair/potential_1.npz")["seed"] == 1
    weights = torch.load(folder / "pair/potential_1.pt", weights_only=True)["weights"]
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert load_arrays(folder / "pair/potential_1.npz")["positions"].shape == (2000, 2)
    assert not list((tiny / "results").rglob("*.partial*"))
    documented = (ROOT / "results/README.md").read_text()
    for path in (folder / "pair").iterdir():
        assert re.sub(r"^(potential|score)_\d+", "{form}_{seed}", path.name) in documented
    assert "Nothing to be done" in snakemake(tiny, "-n", "all")


def test_other_steps_of_one_form_leave_the_other_alone(tiny):
    study = tiny / "config/systems/energies_only_tiny.yaml"
    text = study.read_text()
    study.write_text(text.replace("steps: {potential: 2000}", "steps: {potential: 2000, score: 7}"))
    assert "Nothing to be done" in snakemake(tiny, "-n", "all")
    study.write_text(text)
