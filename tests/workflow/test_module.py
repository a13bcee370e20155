"""Another workflow uses this one as a module, from its own directory with its own config."""

from __future__ import annotations

from .conftest import Workflow

SNAKEFILE = """
configfile: "mine.yaml"

module cytostrat:
    snakefile: "{snakefile}"
    config: config["cytostrat"]
    prefix: "signatures"

use rule * from cytostrat as cytostrat_*

rule everything:
    default_target: True
    input: rules.cytostrat_all.input
"""


def test_rules_are_used_from_another_workflow(repository, tmp_path):
    config = (repository / "config/config.yaml").read_text()
    cohort = repository / "config/cohorts/demo_array.yaml"
    nested = config.split("cohorts:")[0] + f"cohorts: [{cohort}]\n"
    lines = ["cytostrat:", *("  " + line for line in nested.splitlines())]
    (tmp_path / "mine.yaml").write_text("\n".join(lines) + "\n")
    snakefile = tmp_path / "Snakefile"
    snakefile.write_text(SNAKEFILE.format(snakefile=repository / "Snakefile"))
    Workflow(snakefile, tmp_path)("--until", "cytostrat_score")
    assert (tmp_path / "signatures/results/scores/demo_array.tsv.gz").is_file()
