"""Recipes: published systems as named compositions of encoder, trunk, towers and head."""

from __future__ import annotations

from typing import Any

from mtl_core.options import Options
from mtl_core.registry import register


class RecipeOptions(Options):
    """Options of a recipe; `model` gives the model spec that they stand for."""

    def model(self) -> dict[str, Any]:
        """The `model` part of a spec."""
        raise NotImplementedError


@register("recipe", "mmoe", "MMoE")
class MMoERecipe(RecipeOptions):
    """The MMoE paper's model of its synthetic study: 8 experts of one layer of 16, towers of one layer of 8."""

    def model(self) -> dict[str, Any]:
        return {"trunk": {"name": "mmoe", "options": {"experts": 8, "expert_layers": [16]}}, "towers": [8]}
