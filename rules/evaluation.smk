rule evaluate:
    """Compare the samples with the held-out reference, the noise floor and plain dynamics of equal cost."""
    input:
        samples="results/{system}/{target}/samples.npz",
        dataset="results/{system}/dataset.npz",
        reference="results/{system}/{target}/reference.npz",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
        training="results/{system}/model/training.json",
        pretraining=pretraining_record,
        competitor=competitor_file,
        relaxed=relaxed_file,
        exploration=exploration_file,
        log_density=density_file,
        path=path_file,
        tight_reference=tight_reference_file,
        library=library(
            "evaluation/densities.py",
            "evaluation/energy_distributions.py",
            "evaluation/landscape.py",
            "evaluation/pathways.py",
            "evaluation/statistics.py",
            "evaluation/strata.py",
            "evaluation/tight_reference.py",
            "evaluation/tica.py",
            "evaluation/torsions.py",
            "evaluation/validity.py",
            "systems/molecule_density.py",
            "systems/metrics.py",
            "systems/molecule_evaluation.py",
            "systems/evaluation_arrays.py",
            "systems/molecule_path_evaluation.py",
            "systems/series.py",
            "systems/yardstick.py",
        ),
    output:
        metrics="results/{system}/{target}/metrics.json",
        evaluation="results/{system}/{target}/evaluation.npz",
    log:
        "results/logs/evaluate/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("molecule"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("evaluate"),
        runtime=minutes("evaluate"),
    params:
        evaluation=evaluation_settings,
        temperature_K=setting("temperature_K"),
        force_field=setting("data", "force_field"),
        platform=setting("data", "platform"),
    script:
        "../workflow_scripts/evaluate.py"


rule table_metrics:
    """Write the metrics of a study as one table: samples, noise floor, equal-cost MD, tight reference."""
    input:
        metrics=tabled_metrics,
    output:
        table=report(
            "results/tables/{system}.csv",
            caption="captions.rst",
            category="{system}",
            labels={"content": "metrics"},
        ),
    log:
        "results/logs/table_metrics/{system}.log",
    wildcard_constraints:
        system=of_kind("molecule", "protein", "carbon", "adsorption"),
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_metrics"),
        runtime=minutes("table_metrics"),
    params:
        targets=tabled_targets,
        caption=(
            "Every metric of the samples beside the same number for the relaxed samples (where the study asks for"
            " them: a short run with the true forces), for the noise floor (as many frames of the"
            " training replica), for plain molecular dynamics of equal cost, and for the tight reference; of surfaces"
            " also for baselines and as means over the targets that are held out (held_out)."
        ),
    script:
        "../workflow_scripts/table_metrics.py"


rule table_pidp:
    """Compare ways to use energies: the studies that config/config.yaml lists for this table, each with its seeds."""
    input:
        metrics=compared_metrics("table_pidp"),
        library=library("evaluation/tables.py"),
    output:
        table=report(
            "results/tables/pidp.csv",
            caption="captions.rst",
            category="Figures",
            labels={"content": "training from energies"},
        ),
    log:
        "results/logs/table_pidp.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        studies=compared_studies("table_pidp"),
        caption=(
            "Alanine dipeptide from few frames that all have phi < 0, with and without energies: mean and standard"
            " deviation over seeds of landscape, populations and energies, before and after a short run with the true"
            " forces, with CPU seconds of all training and calls of the force field."
        ),
    script:
        "../workflow_scripts/table_pidp.py"
