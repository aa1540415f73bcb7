from snakemake.utils import min_version

min_version("9.14")


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/data.smk"
include: "rules/training.smk"
include: "rules/sampling.smk"
include: "rules/evaluation.smk"
include: "rules/proteins.smk"
include: "rules/several.smk"
include: "rules/analytic.smk"
include: "rules/carbon.smk"
include: "rules/adsorption.smk"
include: "rules/figures.smk"


rule all:
    """Make every study and figure that config/config.yaml lists."""
    default_target: True
    input:
        [study_results(study) for study in CONFIG.listed],
        [figure_files(name) for name in CONFIG.listed_figures],
