rule figure_landscape:
    """Draw the free-energy landscape: reference as contours, samples as dots, representative structures."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py", "evaluation/drawn.py"),
    output:
        png=report(
            "results/{system}/figures/landscape.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "free-energy landscape"},
        ),
        pdf="results/{system}/figures/landscape.pdf",
        parquet="results/{system}/figures/landscape.parquet",
    log:
        "results/logs/figure_landscape/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_landscape"),
        runtime=minutes("figure_landscape"),
    params:
        targets=setting("targets"),
        caption=(
            "Free-energy landscape: contours are the held-out molecular dynamics in kcal/mol, dots are up to 3,000"
            " structures drawn from the diffusion model; one of them is shown per state. Right: free energy along"
            " the first coordinate."
        ),
    script:
        "../workflow_scripts/figure_landscape.py"


rule figure_energies:
    """Draw the distribution of energies of the samples beside that of molecular dynamics."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py"),
    output:
        png=report(
            "results/{system}/figures/energies.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "energies"},
        ),
        pdf="results/{system}/figures/energies.pdf",
        parquet="results/{system}/figures/energies.parquet",
    log:
        "results/logs/figure_energies/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_energies"),
        runtime=minutes("figure_energies"),
    params:
        targets=setting("targets"),
        caption=(
            "Distribution of potential energies in kJ/mol: structures drawn from the diffusion model, without"
            " any relaxation, beside the held-out molecular dynamics; where the study asks for it also after a"
            " short run with the true forces."
        ),
    script:
        "../workflow_scripts/figure_energies.py"


rule figure_samplers:
    """Draw the quality of the samples against the number of steps, for every solver."""
    input:
        comparisons=of_targets("results/{system}/{target}/sampler_comparison.npz"),
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py", "evaluation/sampler_quality.py"),
    output:
        png=report(
            "results/{system}/figures/samplers.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "quality against steps"},
        ),
        pdf="results/{system}/figures/samplers.pdf",
        parquet="results/{system}/figures/samplers.parquet",
    log:
        "results/logs/figure_samplers/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_samplers"),
        runtime=minutes("figure_samplers"),
    params:
        evaluation=evaluation_settings,
        targets=setting("targets"),
        caption=(
            "Quality against the number of network evaluations for every solver: distance of the energy"
            " distributions and divergence of the landscapes, with bootstrap errors."
        ),
    script:
        "../workflow_scripts/figure_samplers.py"


rule figure_density:
    """Draw log densities against energies, and free-energy differences by counting, density and reweighting."""
    input:
        densities=of_targets("results/{system}/{target}/log_density.npz"),
        metrics=of_targets("results/{system}/{target}/metrics.json"),
        library=library("plotting.py", "plotting_densities.py"),
    output:
        png=report(
            "results/{system}/figures/density.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "densities and free energies"},
        ),
        pdf="results/{system}/figures/density.pdf",
        parquet="results/{system}/figures/density.parquet",
    log:
        "results/logs/figure_density/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_density"),
        runtime=minutes("figure_density"),
    params:
        targets=setting("targets"),
        temperature_K=setting("temperature_K"),
        caption=(
            "Left: log density of structures drawn along the probability flow, and of held-out frames, against"
            " their energy; the equilibrium distribution has slope 1. Right: free energy of the states phi > 0"
            " relative to phi < 0, by counting, from densities and by reweighting, with one standard error."
        ),
    script:
        "../workflow_scripts/figure_density.py"


rule figure_pathway:
    """Draw paths between two states over the landscape, and the energies along them."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        paths=of_targets("results/{system}/{target}/path.npz"),
        library=library(
            "plotting.py",
            "plotting_pathways.py",
            "evaluation/drawn.py",
            "evaluation/pathways.py",
        ),
    output:
        png=report(
            "results/{system}/figures/pathway.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "paths between states"},
        ),
        pdf="results/{system}/figures/pathway.pdf",
        parquet="results/{system}/figures/pathway.parquet",
    log:
        "results/logs/figure_pathway/{system}.log",
    wildcard_constraints:
        system=of_kind("molecule"),
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_pathway"),
        runtime=minutes("figure_pathway"),
    params:
        targets=setting("targets"),
        caption=(
            "Paths between two states through the latent space of the diffusion model, each between another pair of"
            " training frames, beside the straight path in Cartesian coordinates. Left: over the free-energy"
            " landscape of molecular dynamics (the tight reference where there is one). Right: potential energies"
            " along them. Bold: the pair whose highest energy is lowest."
        ),
    script:
        "../workflow_scripts/figure_pathway.py"


rule figure_pathway_states:
    """Draw paths between known structures: distances from both, the chain's integrity, and a known transition."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        paths=of_targets("results/{system}/{target}/path.npz"),
        library=library("plotting.py", "plotting_states.py", "plotting_state_paths.py"),
    output:
        png=report(
            "results/{system}/figures/pathway.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "paths between known structures"},
        ),
        pdf="results/{system}/figures/pathway.pdf",
        parquet="results/{system}/figures/pathway.parquet",
    log:
        "results/logs/figure_pathway_states/{system}.log",
    wildcard_constraints:
        system=proteins_with("structures"),
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_pathway_states"),
        runtime=minutes("figure_pathway_states"),
    params:
        targets=setting("targets"),
        caption=(
            "Paths between two known structures through the latent space of the diffusion model, beside that on which every"
            " residue moves straight. Left: distances from the first (full) and the second (broken). Middle: largest (full) and"
            " smallest (broken) distance of neighbouring CA atoms; open symbols: points that fail the physical filter. Right: both distances against one another; crosses:"
            " frames of a known transition where there is one; where the legend calls it biased, a bias drove it from state to"
            " state, so that it is no equilibrium path."
        ),
    script:
        "../workflow_scripts/figure_pathway_states.py"


rule figure_states:
    """Draw the samples nearest the known structures, and the distances of all samples from each of them."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        library=library("plotting.py", "plotting_states.py"),
    output:
        png=report(
            "results/{system}/figures/states.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "known structures"},
        ),
        pdf="results/{system}/figures/states.pdf",
        parquet="results/{system}/figures/states.parquet",
    log:
        "results/logs/figure_states/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_states"),
        runtime=minutes("figure_states"),
    params:
        titles=setting("targets"),
        caption=(
            "Known structures, and the nearest of the structures drawn from the diffusion model laid over each. Right:"
            " distances of all drawn structures from each known one, beside those of the first known structure with noise."
            " The titles say whether the network was trained on these structures."
        ),
    script:
        "../workflow_scripts/figure_states.py"


rule figure_learning_curve:
    """Draw the loss on training and validation frames against the optimiser steps."""
    input:
        history="results/{system}/model/history.csv",
        library=library("plotting.py"),
    output:
        png=report(
            "results/{system}/figures/learning_curve.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "learning curve"},
        ),
        pdf="results/{system}/figures/learning_curve.pdf",
        parquet="results/{system}/figures/learning_curve.parquet",
    log:
        "results/logs/figure_learning_curve/{system}.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_learning_curve"),
        runtime=minutes("figure_learning_curve"),
    params:
        # Of few known structures none is kept.
        keeps_frames=lambda w: SETTINGS[w.system]["data"].get("source") != "structures",
        caption=(
            "Learning curve: denoising loss on training frames and on frames kept for validation (of known structures: on the"
            " same ones with other noise) against the number of optimiser steps."
        ),
    script:
        "../workflow_scripts/figure_learning_curve.py"


rule figure_2a:
    """Draw Figure 2a: the landscapes of the studies that config/config.yaml lists for it."""
    input:
        evaluations=shown_in("figure_2a"),
        library=library("plotting.py", "evaluation/drawn.py"),
    output:
        png=report(
            "results/figures/figure_2a.png",
            caption="captions.rst",
            category="Figures",
            labels={"content": "figure 2a"},
        ),
        pdf="results/figures/figure_2a.pdf",
        parquet="results/figures/figure_2a.parquet",
    log:
        "results/logs/figure_2a.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        titles=titles_in("figure_2a"),
        caption=(
            "Figure 2a of the paper (Nature Machine Intelligence 2024): structures drawn from the diffusion"
            " model laid over the free-energy landscape of molecular dynamics."
        ),
    script:
        "../workflow_scripts/figure_2a.py"


# The same script: Figure 2b shows what config/config.yaml lists for it.
use rule figure_states as figure_2b with:
    input:
        evaluations=shown_in("figure_2b"),
        library=library("plotting.py", "plotting_states.py"),
    output:
        png=report(
            "results/figures/figure_2b.png",
            caption="captions.rst",
            category="Figures",
            labels={"content": "figure 2b"},
        ),
        pdf="results/figures/figure_2b.pdf",
        parquet="results/figures/figure_2b.parquet",
    log:
        "results/logs/figure_2b.log",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        titles=titles_in("figure_2b"),
        caption=(
            "Figure 2b of the paper (Nature Machine Intelligence 2024): known structures of proteins, and the nearest of the"
            " structures drawn from the diffusion model laid over each. Right: distances of all drawn structures from each"
            " known one, beside those of the first known structure with noise. The titles say whether the network was trained"
            " on these structures."
        ),


rule figure_pidp:
    """Draw the ways to use energies side by side: the rows of table_pidp."""
    input:
        table="results/tables/pidp.csv",
        library=library("plotting.py", "plotting_comparisons.py"),
    output:
        png=report(
            "results/figures/pidp.png",
            caption="captions.rst",
            category="Figures",
            labels={"content": "training from energies"},
        ),
        pdf="results/figures/pidp.pdf",
        parquet="results/figures/pidp.parquet",
    log:
        "results/logs/figure_pidp.log",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        caption=(
            "Alanine dipeptide from few frames that all have phi < 0, with and without energies, in equal time: divergence"
            " from molecular dynamics and population of phi > 0, mean and standard deviation over seeds, before and after a"
            " short run with the true forces. Dotted: as many independent draws of the tight reference."
        ),
    script:
        "../workflow_scripts/figure_pidp.py"


for study in [*CONFIG.listed, *CONFIG.asked]:

    rule:
        """Make everything about this study: metrics, figures and table."""
        name:
            study
        input:
            study_results(study),


rule figure_4:
    """Make the parts of Figure 4: what sits on surfaces, and its density over the energies there."""
    input:
        parts_of("figure_4", "adsorbates", "sites"),


rule figure_5:
    """Make the parts of Figure 5: band gaps of crystals that were asked for, and the crystals."""
    input:
        parts_of("figure_5", "property", "crystals"),
