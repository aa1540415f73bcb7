rule build_surface:
    """Cut the slab of a target from its crystal and bring it to rest."""
    input:
        slab=slab_file,
    output:
        molecule="results/{system}/{target}/molecule.npz",
        slab="results/{system}/{target}/slab.extxyz",
    log:
        "results/logs/build_surface/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/search.yaml"
    threads: 1
    resources:
        mem_mb=memory("build_surface"),
        runtime=minutes("build_surface"),
    params:
        kind=setting("kind"),
        target=surface_target,
        data=surface_settings,
    script:
        "../workflow_scripts/build_surface.py"


rule map_energies:
    """Compute the energy of the adsorbed atom over the surface; goes on where an interrupted run stopped."""
    input:
        molecule="results/{system}/{target}/molecule.npz",
    output:
        energies="results/{system}/{target}/energies.npz",
    log:
        "results/logs/map_energies/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/search.yaml"
    threads: 1
    resources:
        mem_mb=memory("map_energies"),
        runtime=minutes("map_energies"),
    params:
        data=map_settings,
        partial="results/{system}/{target}/energies.partial.npz",
    script:
        "../workflow_scripts/map_energies.py"


rule prepare_adsorption:
    """Draw structures of all targets that train the network from their maps of energies."""
    input:
        molecules=of_trained_targets("results/{system}/{target}/molecule.npz"),
        energies=of_trained_targets("results/{system}/{target}/energies.npz"),
    output:
        dataset="results/{system}/dataset.npz",
    log:
        "results/logs/prepare_adsorption/{system}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("prepare_adsorption"),
        runtime=minutes("prepare_adsorption"),
    params:
        targets=trained_targets,
        structures=setting("data", "structures"),
        seed=setting("data", "seed"),
        temperature_K=setting("temperature_K"),
    script:
        "../workflow_scripts/prepare_adsorption.py"


rule sample_adsorbates:
    """Draw adsorbates of a target from the trained model; goes on where an interrupted run stopped."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        samples="results/{system}/{target}/samples.npz",
        structures="results/{system}/{target}/samples.extxyz",
    log:
        "results/logs/sample_adsorbates/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("sample_adsorbates"),
        runtime=minutes("sample_adsorbates"),
    params:
        kind=setting("kind"),
        sampler=setting("sampler"),
        partial="results/{system}/{target}/samples.partial",
    script:
        "../workflow_scripts/sample_adsorbates.py"


rule evaluate_adsorption:
    """Compare drawn adsorbates with the sites of the energy map."""
    input:
        samples="results/{system}/{target}/samples.npz",
        molecule="results/{system}/{target}/molecule.npz",
        energies="results/{system}/{target}/energies.npz",
        training="results/{system}/model/training.json",
        library=library(
            "data/adsorbates.py",
            "data/energy_maps.py",
            "evaluation/sites.py",
            "evaluation/site_coverage.py",
            "evaluation/surface_cells.py",
            "systems/adsorption_evaluation.py",
        ),
    output:
        metrics="results/{system}/{target}/metrics.json",
        evaluation="results/{system}/{target}/evaluation.npz",
    log:
        "results/logs/evaluate_adsorption/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("evaluate_adsorption"),
        runtime=minutes("evaluate_adsorption"),
    params:
        temperature_K=setting("temperature_K"),
        evaluation=setting("evaluation"),
    script:
        "../workflow_scripts/evaluate_adsorption.py"


rule figure_sites:
    """Draw samples over the energy map of every surface, with its sites."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py", "plotting_sites.py"),
    output:
        png=report(
            "results/{system}/figures/sites.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "adsorption sites"},
        ),
        pdf="results/{system}/figures/sites.pdf",
        parquet="results/{system}/figures/sites.parquet",
    log:
        "results/logs/figure_sites/{system}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_sites"),
        runtime=minutes("figure_sites"),
    params:
        targets=setting("targets"),
        caption=(
            "Energy of the adsorbed atom over the cell of each surface (its height is the best one), sites (circles: minima of the"
            " map) and where the model puts atoms (dots)."
        ),
    script:
        "../workflow_scripts/figure_sites.py"
