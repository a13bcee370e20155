"""Captions of ``snakemake --report``: a wrong key there shows as nothing, so each is rendered."""

from __future__ import annotations

import re
from types import SimpleNamespace

import jinja2
import pytest

from cytostrat.configfile import load_run
from cytostrat.validation import load_yaml
from tests.conftest import REPOSITORY

CAPTIONS = sorted((REPOSITORY / "workflow" / "report").glob("*.rst"))
RULES = sorted((REPOSITORY / "workflow" / "rules").glob("*.smk"))
ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)


@pytest.fixture(scope="module")
def config():
    path = REPOSITORY / "config" / "config.yaml"
    return load_run(load_yaml(path), file=path).config


def stand_in(config) -> SimpleNamespace:
    """Return what a caption may speak of, with the values of the default run."""
    params = SimpleNamespace(
        config=config,
        methods=config["methods"],
        method=config["methods"][0],
        families=config["families"],
        kinds={"demo": "bulk"},
        min_coverage=config["signatures"]["min_coverage"],
    )
    wildcards = SimpleNamespace(signature="IFN_I", figure="forest", cohort="demo")
    return SimpleNamespace(params=params, wildcards=wildcards, config=config)


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_caption_renders(path, config):
    template = ENVIRONMENT.from_string(path.read_text(encoding="utf-8"))
    text = template.render(snakemake=stand_in(config))
    assert "{{" not in text
    assert len(text.split()) > 20


def test_a_wrong_key_would_be_found(config):
    template = ENVIRONMENT.from_string('{{ snakemake.params.config["methodz"][0] }}')
    with pytest.raises(jinja2.UndefinedError):
        template.render(snakemake=stand_in(config))


def blocks() -> list[str]:
    """Return the text of every rule."""
    return [
        block
        for path in RULES
        for block in re.split(r"(?m)^(?=rule |checkpoint )", path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_rule_of_a_caption_has_the_params_it_speaks_of(path):
    spoken = set(re.findall(r"snakemake\.params\.(\w+)", path.read_text(encoding="utf-8")))
    for block in blocks():
        if f'caption="../report/{path.name}"' not in block:
            continue
        params = re.search(r"(?m)^    params:\n((?:        .*\n|\n)*)", block)
        given = set(re.findall(r"(?m)^        (\w+)=", params[1])) if params else set()
        assert spoken <= given, f"{path.name}: the rule lacks the params {spoken - given}"


def test_captions_that_rules_name_exist():
    named = {
        name for block in blocks() for name in re.findall(r'caption="\.\./report/([^"]+)"', block)
    }
    assert named <= {path.name for path in CAPTIONS}
