"""Recipes by the names that `reelproof pretrain` takes."""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial

from reference_models.backbones import parse
from reference_models.recipes.cvrl import mini_cvrl, paper_cvrl, upstream_cvrl
from reference_models.recipes.prp import mini_prp, paper_prp, upstream_prp
from reference_models.recipes.recipe import Recipe
from reference_models.recipes.rotnet import mini_rotnet, paper_rotnet, upstream_rotnet
from reference_models.recipes.rspnet import mini_rspnet, paper_rspnet, upstream_rspnet
from reference_models.recipes.supervised import mini_supervised
from reference_models.recipes.tdl import mini_tdl, paper_tdl, upstream_tdl
from reference_models.recipes.vcop import mini_vcop, paper_vcop, upstream_vcop
from reference_models.recipes.videomae import (
    mini_videomae,
    mini_videomae_map,
    paper_videomae,
    paper_videomae_map,
    upstream_videomae,
)

RECIPES: dict[str, Callable[[], Recipe]] = {
    "mini-vcop": mini_vcop,
    "mini-rotnet": mini_rotnet,
    "mini-prp": mini_prp,
    "mini-cvrl": mini_cvrl,
    "mini-tdl": mini_tdl,
    "mini-rspnet": mini_rspnet,
    "mini-videomae": mini_videomae,
    "mini-videomae-map": mini_videomae_map,
    "mini-supervised": mini_supervised,
    "paper-vcop": paper_vcop,
    "paper-vcop-4": partial(paper_vcop, 4),
    "paper-vcop-5": partial(paper_vcop, 5),
    "paper-rotnet": paper_rotnet,
    "paper-rotnet-2": partial(paper_rotnet, 2),
    "paper-rotnet-3": partial(paper_rotnet, 3),
    "paper-prp": paper_prp,
    "paper-prp-2": partial(paper_prp, 2),
    "paper-prp-3": partial(paper_prp, 3),
    "paper-cvrl": paper_cvrl,
    "paper-tdl": paper_tdl,
    "paper-rspnet": paper_rspnet,
    "paper-videomae": paper_videomae,
    "paper-videomae-map": paper_videomae_map,
    "upstream-vcop": upstream_vcop,
    "upstream-rotnet": upstream_rotnet,
    "upstream-prp": upstream_prp,
    "upstream-cvrl": upstream_cvrl,
    "upstream-tdl": upstream_tdl,
    "upstream-rspnet": upstream_rspnet,
    "upstream-videomae": upstream_videomae,
}
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
    return replace(recipe, architecture=architecture, title=f"{recipe.title} on {architecture}", landing=None)
