rule pretrain_density:
    """Train on one known density from its energies alone, in one form with one seed, and draw from it."""
    input:
        # The energy is all the data there is.
        energy=library("energies/analytic.py", "energies/frames.py"),
    output:
        samples="results/{system}/{target}/{form}_{seed}.npz",
        checkpoint="results/{system}/{target}/{form}_{seed}.pt",
    log:
        "results/logs/pretrain_density/{system}_{target}_{form}_{seed}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("pretrain_density"),
        runtime=minutes("pretrain_density"),
    params:
        target=setting("targets", "{target}"),
        process=setting("process"),
        pretraining=form_settings,
        sampler=setting("sampler"),
        partial="results/{system}/{target}/{form}_{seed}.partial.pt",
    script:
        "../workflow_scripts/pretrain_density.py"


rule evaluate_density:
    """Compare the samples of every training with the known density, beside as many exact draws."""
    input:
        samples=density_samples,
        library=library(
            "energies/monte_carlo.py",
            "evaluation/known_densities.py",
            "systems/analytic_evaluation.py",
        ),
    output:
        metrics="results/{system}/{target}/metrics.json",
        evaluation="results/{system}/{target}/evaluation.npz",
    log:
        "results/logs/evaluate_density/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("analytic"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("evaluate_density"),
        runtime=minutes("evaluate_density"),
    params:
        target=setting("targets", "{target}"),
        runs=density_runs,
    script:
        "../workflow_scripts/evaluate_density.py"


rule table_energies_only:
    """Write one table of all trainings from energies: a row per target, form and seed, and the noise floor."""
    input:
        metrics=of_targets("results/{system}/{target}/metrics.json"),
        library=library("evaluation/density_tables.py", "evaluation/tables.py"),
    output:
        table=report(
            "results/tables/{system}.csv",
            caption="captions.rst",
            category="{system}",
            labels={"content": "metrics"},
        ),
    log:
        "results/logs/table_energies_only/{system}.log",
    wildcard_constraints:
        system=of_kind("analytic"),
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_energies_only"),
        runtime=minutes("table_energies_only"),
    params:
        targets=setting("targets"),
        caption=(
            "Training from energies alone on densities with a known truth: every number of the samples for each form"
            " and seed, beside as many exact draws (noise floor) and the exact weights of the modes."
        ),
    script:
        "../workflow_scripts/table_energies_only.py"


rule figure_energies_only:
    """Draw known densities beside those that were learned from energies, with the weights of their modes."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py", "plotting_known_densities.py"),
    output:
        png=report(
            "results/{system}/figures/energies_only.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "densities from energies alone"},
        ),
        pdf="results/{system}/figures/energies_only.pdf",
        parquet="results/{system}/figures/energies_only.parquet",
    log:
        "results/logs/figure_energies_only/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_energies_only"),
        runtime=minutes("figure_energies_only"),
    params:
        targets=setting("targets"),
        caption=(
            "Densities with a known truth, and what networks learned from energies alone, without a single structure"
            " that follows the density (first seed): exact density, log density of a potential, free score. For"
            " particles the distribution of all pair distances. Right: weights of the modes, bars for the"
            " exact ones and dots for every seed."
        ),
    script:
        "../workflow_scripts/figure_energies_only.py"


rule table_stabilisers:
    """Compare what keeps training from energies stable: studies that change one thing each."""
    input:
        metrics=compared_metrics("table_stabilisers"),
        library=library("evaluation/density_tables.py", "evaluation/tables.py"),
    output:
        table=report(
            "results/tables/stabilisers.csv",
            caption="captions.rst",
            category="Figures",
            labels={"content": "stabilisers of training from energies"},
        ),
    log:
        "results/logs/table_stabilisers.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        studies=compared_studies("table_stabilisers"),
        caption=(
            "What keeps training from energies stable: a mixture of three modes, learned as a potential, with one thing"
            " left out or changed in each row; a line per seed."
        ),
    script:
        "../workflow_scripts/table_stabilisers.py"
