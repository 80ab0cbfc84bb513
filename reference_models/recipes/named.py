"""Recipes by the names that `reelproof pretrain` takes."""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches

from reference_models.backbones import parse
from reference_models.recipes.recipe import Recipe
from reference_models.recipes.supervised import mini_supervised
from reference_models.recipes.vcop import mini_vcop

RECIPES: dict[str, Callable[[], Recipe]] = {"mini-vcop": mini_vcop, "mini-supervised": mini_supervised}
"""By the name that `reelproof pretrain` takes."""


def recipe_named(name: str, architecture: str = "") -> Recipe:
    """The recipe of this name; on another backbone where one is named.

    Raises:
        ValueError: If there is none, naming the nearest.
    """
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=2)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"There is: {', '.join(RECIPES)}."
        raise ValueError(f"There is no recipe {name!r}. {hint}")
    recipe = RECIPES[name]()
    if not architecture or architecture == recipe.architecture:
        return recipe
    parse(architecture)
    return replace(recipe, architecture=architecture, title=f"{recipe.title} on {architecture}")
