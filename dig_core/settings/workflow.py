"""Settings of the workflow: which studies are made, shown and compared."""

from typing import Literal, Self

from pydantic import Field, model_validator

from dig_core.settings.download import Download, RelativePath
from dig_core.settings.fields import Name, Seed, Settings, suggestion


class Comparison(Settings):
    """Studies that differ in something, each run with several seeds."""

    studies: tuple[Name, ...] = Field(min_length=1, description="Studies, a row each")
    seeds: tuple[Seed, ...] = Field(
        (),
        description="Seeds of pre-training, training and sampling; <study>_seed<k> is the study with seed k."
        " None for known densities, whose studies have seeds of their own",
    )


class Workflow(Settings):
    """config/config.yaml: which studies, which figures."""

    studies: tuple[Name, ...] = Field(min_length=1, description="Studies, names of files in config/systems")
    figures: dict[Literal["figure_2a", "figure_2b", "figure_4", "figure_5"], tuple[Name, ...]] = Field(
        description="Figure: studies that it shows, of landscapes (2a), of known structures (2b), of adsorption (4) or of crystals (5)."
        " Where 2b shows a study that is not listed under studies, it is made only when it is asked for; 4 and 5 are the figures of their studies"
    )
    comparisons: dict[Literal["table_pidp", "table_stabilisers"], Comparison] = Field(
        {}, description="Table: studies that it compares; made only when the table is asked for"
    )

    downloads: dict[RelativePath, Download] = Field(
        {}, description="Files from elsewhere, by the path under which studies name them"
    )

    @model_validator(mode="after")
    def _figures_show_studies(self) -> Self:
        for name in set(self.figures.get("figure_2a", ())) - set(self.studies):
            hint = suggestion(name, self.studies) or " Add it to studies"
            raise ValueError(
                f"expected a study that is listed under studies in figure_2a; got {name!r}.{hint}"
            )
        return self
