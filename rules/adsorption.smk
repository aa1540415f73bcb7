rule build_surface:
    """Cut the slab of a target from its crystal and bring it to rest, where it does not come with the project."""
    input:
        slab=slab_file,
        bundled=bundled_surface_file,
    output:
        molecule="results/{system}/{target}/molecule.npz",
        slab="results/{system}/{target}/slab.extxyz",
    log:
        "results/logs/build_surface/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/materials.yaml"
    threads: 1
    resources:
        mem_mb=memory("build_surface"),
        runtime=minutes("build_surface"),
    params:
        kind=setting("kind"),
        target=surface_target,
        data=slab_settings,
    script:
        "../workflow_scripts/build_surface.py"


rule map_energies:
    """Compute the energy of the adsorbate over the surface; goes on where an interrupted run stopped."""
    input:
        molecule="results/{system}/{target}/molecule.npz",
        bundled=bundled_surface_file,
    output:
        energies="results/{system}/{target}/energies.npz",
    log:
        "results/logs/map_energies/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/materials.yaml"
    threads: 1
    resources:
        mem_mb=memory("map_energies"),
        runtime=minutes("map_energies"),
    params:
        data=map_settings,
        partial="results/{system}/{target}/energies.partial.npz",
    script:
        "../workflow_scripts/map_energies.py"


rule bundle_surface:
    """Join the slab of a target and its energies in one file, as they are bundled with the project."""
    input:
        molecule="results/{system}/{target}/molecule.npz",
        energies="results/{system}/{target}/energies.npz",
    output:
        surface="results/{system}/{target}/bundled.npz",
        made_with="results/{system}/{target}/bundled.json",
    log:
        "results/logs/bundle_surface/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("bundle_surface"),
        runtime=minutes("bundle_surface"),
    params:
        made_with=lambda w: surface_settings(CONFIG.studies[w.system], w.target),
    script:
        "../workflow_scripts/bundle_surface.py"


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


rule map_density:
    """Find the log density of the adsorbed atom over the surface along the probability flow."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        log_density="results/{system}/{target}/log_density.npz",
    log:
        "results/logs/map_density/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("map_density"),
        runtime=minutes("map_density"),
    params:
        kind=setting("kind"),
        points=setting("data", "points"),
        density=setting("density"),
    script:
        "../workflow_scripts/map_density.py"


rule evaluate_adsorption:
    """Compare drawn adsorbates with the sites of the energy map, and their density with the energies."""
    input:
        samples="results/{system}/{target}/samples.npz",
        density=density_file,
        molecule="results/{system}/{target}/molecule.npz",
        energies="results/{system}/{target}/energies.npz",
        training="results/{system}/model/training.json",
        pretraining=pretraining_record,
        library=library(
            "data/adsorbates.py",
            "data/energy_maps.py",
            "evaluation/adsorbed_molecules.py",
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
        evaluation=evaluation_settings,
    script:
        "../workflow_scripts/evaluate_adsorption.py"


rule average_held_out:
    """Average the metrics of the targets that are held out, with intervals, and how they differ from baselines."""
    input:
        metrics=of_held_out_targets("results/{system}/{target}/metrics.json"),
        library=library("evaluation/averages.py"),
    output:
        metrics="results/{system}/held_out/metrics.json",
    log:
        "results/logs/average_held_out/{system}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("average_held_out"),
        runtime=minutes("average_held_out"),
    params:
        targets=lambda wildcards: held_out_targets(wildcards.system),
    script:
        "../workflow_scripts/average_held_out.py"


rule compare_sites:
    """Find whether the site that the model fills most is the lowest one of the potential, and of known energies."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        known=known_adsorption_energies,
        library=library("evaluation/known_sites.py"),
    output:
        table="results/tables/{system}_known_sites.csv",
        metrics="results/{system}/known_sites/metrics.json",
    log:
        "results/logs/compare_sites/{system}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("compare_sites"),
        runtime=minutes("compare_sites"),
    params:
        targets=setting("targets"),
    script:
        "../workflow_scripts/compare_sites.py"


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
            " map) and where the model puts atoms (dots), of at most twelve targets, those first that are held out; beside it -kT ln of the model's density, where the study asks for it."
        ),
    script:
        "../workflow_scripts/figure_sites.py"


rule figure_adsorbates:
    """Draw samples at the sites of every surface that are filled most, from above and from the side."""
    input:
        molecules=of_targets("results/{system}/{target}/molecule.npz"),
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py", "plotting_adsorbates.py"),
    output:
        png=report(
            "results/{system}/figures/adsorbates.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "adsorbates"},
        ),
        pdf="results/{system}/figures/adsorbates.pdf",
        parquet="results/{system}/figures/adsorbates.parquet",
    log:
        "results/logs/figure_adsorbates/{system}.log",
    wildcard_constraints:
        system=of_kind("adsorption"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_adsorbates"),
        runtime=minutes("figure_adsorbates"),
    params:
        targets=setting("targets"),
        caption=(
            "What the model puts on surfaces, from above and from the side: the first sample at each of the three sites that hold"
            " most of them, with their share, of at most six targets, those first that are held out."
        ),
    script:
        "../workflow_scripts/figure_adsorbates.py"
