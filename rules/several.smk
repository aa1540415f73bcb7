# With `targets_per_job`, what other rules make of a target is made for several targets by one process: starting one takes
# seconds. Inputs, outputs and settings are those of the rule for one target.
for system, number, targets in several_targets():
    for base in rules_of_a_target(system):
        own = "simulate" if base == "simulate_competitor" else base
        jobs = [
            {"script": own, **of_one(getattr(rules, base), wildcards)}
            for wildcards in wildcards_of(base, system, targets)
        ]

        rule:
            name:
                f"{base}_{system}_{number}"
            input:
                sorted({file for job in jobs for file in flat(job["input"].values())}),
            output:
                [file for job in jobs for file in job["output"].values()],
            log:
                f"results/logs/several/{base}_{system}_{number}.log",
            conda:
                "../envs/learning.yaml"
            threads: 1
            resources:
                mem_mb=lambda wildcards, attempt, base=base, system=system: min(
                    attempt, 3
                )
                * estimated(job_memory.memory_MB, base, system),
                runtime=min(
                    len(jobs) * estimated(costs.runtime_minutes, base, system),
                    costs.LONGEST_MINUTES,
                ),
            params:
                jobs=jobs,
            script:
                "../workflow_scripts/several.py"

        SEVERAL[f"{base}_{system}_{number}"] = base, system, len(jobs)
        workflow.ruleorder(f"{base}_{system}_{number}", base)
