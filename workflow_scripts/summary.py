"""Print the main metrics of every study of the configuration, and where the report is."""

import sys
from pathlib import Path

from dig_core.config import load_config
from dig_core.evaluation.density_tables import densities_table
from dig_core.evaluation.tables import main_table
from dig_core.files import read_json

TABLES = {"molecule": main_table, "protein": main_table, "carbon": main_table, "analytic": densities_table}


def main(folder=Path("results"), config=Path("config/config.yaml")):
    """Return the exit status; 1 where a study has no metrics yet."""
    settings = load_config(config)
    for name in settings.listed:
        study = settings.studies[name]
        for target in study.targets:
            path = folder / name / target / "metrics.json"
            if not path.is_file():
                print(f"error: expected the file {path}; found none. Write: make demo", file=sys.stderr)
                return 1
            metrics = read_json(path)
            print(f"\n{name}, {target}: {metrics['samples']} samples\n{TABLES[study.kind](metrics)}")
    print(f"\nall metrics: {folder / 'tables'}/*.csv\nreport:      {(folder / 'report.html').resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
