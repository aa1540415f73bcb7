#!/usr/bin/env bash
# Snakemake runs this inside the new environment, from the folder of the workflow: make dig_core importable there.
set -euo pipefail
pip install --no-deps --no-build-isolation --editable "$PWD"
