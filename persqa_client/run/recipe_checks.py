"""Checks a recipe as a run does, before there is a run."""

from __future__ import annotations

from persqa_client.config import Recipe
from persqa_client.questions.tags import read_real_names
from persqa_client.run.plan import check_reference, make_bank, make_recipe_steering, make_tag


def check_recipe(recipe: Recipe) -> None:
    """Raises SettingsError for a tag, a bank, a text or a file that can't be used."""
    make_tag(recipe.tag)
    make_bank(recipe)
    make_recipe_steering(recipe)
    if recipe.names is not None:
        read_real_names(recipe.names)
    if recipe.reference is not None:
        check_reference(recipe.reference)
