"""The configuration of a run: addresses, folders of downloads, cohorts that may share patients."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cytostrat.configfile import Run, load_run
from cytostrat.errors import ConfigError
from tests.cohort_files import SPEC, changed

URL = "https://host.org/a/table.tsv.gz?version=2"
SHA = "a" * 64


def run(folder: Path, *specs: dict, **config: object) -> Run:
    """Write cohort files named a, b, ... and load a configuration of them."""
    names = []
    for name, spec in zip("abc", specs, strict=False):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec | {"name": name}))
        names.append(f"{name}.yaml")
    return load_run({"schema_version": 1, "cohorts": names, **config}, file=folder / "config.yaml")


def source(**facts: object) -> dict:
    return changed(SPEC, expression__source={"url": URL, **facts})


def test_each_address_is_one_file_with_what_any_cohort_knows_of_it(tmp_path):
    found = run(tmp_path, source(), source(sha256=SHA), source(size=5)).remotes()
    (place,) = found
    assert place == "host.org/a/table.tsv.gz@version=2"
    assert found[place].location == URL
    assert (found[place].sha256, found[place].size) == (SHA, 5)
    assert run(tmp_path, SPEC).remotes() == {}


def test_checksums_that_differ_are_refused(tmp_path):
    two = run(tmp_path, source(sha256=SHA), source(sha256="b" * 64))
    with pytest.raises(ConfigError, match=r"cohort b: the sha256 of https.*another source states"):
        two.remotes()


def test_an_address_that_is_not_fetched_is_refused(tmp_path):
    for source in ({"url": "ftp://host.org/a"}, {"path": "ftp://host.org/a"}):
        with pytest.raises(ConfigError, match=r"ftp://host\.org/a"):
            run(tmp_path, changed(SPEC, expression__source=source))


def test_folders_start_at_the_configuration(tmp_path, monkeypatch):
    assert run(tmp_path, SPEC).downloads == "downloads"
    assert run(tmp_path, SPEC).mirror == ""
    monkeypatch.setenv("SHARED", str(tmp_path / "shared"))
    (tmp_path / "mirror").mkdir()
    found = run(tmp_path, SPEC, downloads="${SHARED}/files", mirror="mirror")
    assert found.downloads == str(tmp_path / "shared" / "files")
    assert found.mirror == str(tmp_path / "mirror")
    with pytest.raises(ConfigError, match="key mirror names 'absent', but there is no folder"):
        run(tmp_path, SPEC, mirror="absent")
    with pytest.raises(ConfigError, match="the environment variable NOT_SET_ANYWHERE is not set"):
        run(tmp_path, SPEC, downloads="${NOT_SET_ANYWHERE}/files")


def test_the_later_of_two_cohorts_that_may_share_patients_gives_way(tmp_path):
    claims = changed(SPEC, may_share_patients=["b"])
    assert run(tmp_path, claims, SPEC, SPEC).rivals() == {"b": ["a"]}
    assert run(tmp_path, SPEC, changed(SPEC, may_share_patients=["a"])).rivals() == {"b": ["a"]}
    (tmp_path / "shared.txt").write_text("P1\n")
    listed = changed(SPEC, filters__exclude_patients="shared.txt")
    assert run(tmp_path, claims, listed).rivals() == {}
    assert run(tmp_path, SPEC, SPEC).rivals() == {}


def test_the_public_cohorts_say_what_is_not_proved(repository):
    path = repository / "config" / "public.yaml"
    public = load_run(yaml.safe_load(path.read_text(encoding="utf-8")), file=path)
    assert len(public.cohorts) == 8
    assert len(public.remotes()) == 16
    assert public.rivals() == {"gse20194": ["gse25066"]}
    for name, cohort in public.cohorts.items():
        assert all(cohort[key] for key in ("citation", "doi", "licence")), name
        assert cohort["unverified"], name
        stated = "\n".join(cohort["unverified"])
        unproved = [remote for remote in cohort["expression"]["source"] if not remote["sha256"]]
        assert not unproved or "No sha256 is stated" in stated or "No sha256 and" in stated, name
