"""The container recipe is the lock file's."""

from __future__ import annotations

from tests import containerfile


def test_recipe_is_up_to_date() -> None:
    wanted = containerfile.recipe()
    assert containerfile.RECIPE.read_text(encoding="utf-8") == wanted, (
        "run: python -m tests.containerfile"
    )
