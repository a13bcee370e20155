"""Whatever states the version of the release states the same one."""

from __future__ import annotations

import re
import tomllib

import yaml

import cytostrat


def test_version_is_the_same_everywhere(repository):
    stated = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    changes = (repository / "CHANGELOG.md").read_text()
    assert re.fullmatch(r"\d+\.\d+\.\d+", stated)
    assert cytostrat.__version__ == stated
    assert citation["version"] == stated
    assert re.findall(r"(?m)^## (\S+)", changes)[0] == stated


def test_documents_name_no_other_version_of_the_project(repository):
    documents = [repository / "README.md", *(repository / "docs").glob("*.md")]
    documents += [repository / "config/README.md", repository / "Containerfile"]
    for file in documents:
        for version in re.findall(r"cytostrat[ =v]+(\d+\.\d+\.\d+)", file.read_text()):
            assert version == cytostrat.__version__, file


def test_a_stated_licence_is_that_of_the_licence_file(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    text = (repository / "LICENSE").read_text()
    assert project["license"] == citation["license"] == "MIT"
    assert text.startswith("MIT License")
