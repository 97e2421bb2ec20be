"""Recipes: published systems as named compositions of encoder, trunk, towers and head."""

from mtl_core.recipes.base import RecipeOptions

# In the order in which they are taught: the funnel, then systems of companies, then architectures.
from mtl_core.recipes import conversion, industry  # isort: skip

__all__ = ["RecipeOptions", "conversion", "industry"]
