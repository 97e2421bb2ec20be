"""Systems for conversions after clicks, and the baselines that they were compared with."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.recipes.base import RecipeOptions, private_networks
from mtl_core.registry import register

#: Ids, because sharing embeddings is what entire-space models live from.
IDS: dict[str, Any] = {"name": "funnel", "options": {}}
WITH_CARTS: dict[str, Any] = {"name": "funnel", "options": {"tasks": "ctr, cart, cvr"}}
SIZED: dict[str, Any] = {"dim": 8, "layers": [64, 32]}


def _esmm_paper(problem: str, formula: str, *, baseline: bool = True) -> Card:
    """Most of what the paper describes are the models that it measures ESMM against, in use before it."""
    return Card(
        problem=problem,
        formula=formula,
        paper="Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate",
        authors="Ma, Zhao, Huang, Wang, Hu, Zhu, Gai",
        year=2018,
        venue="SIGIR",
        reference="1804.07931",
        baseline_of="ESMM" if baseline else "",
    )


class _Conversion(RecipeOptions):
    """Embeddings summed per role, and one network per task, as the ESMM paper draws it."""

    suits: ClassVar[dict[str, Any]] = IDS
    sized: ClassVar[dict[str, Any]] = SIZED
    own_embeddings: ClassVar[bool] = False

    dim: int = option(18, "Columns per categorical field", ge=1, le=256)
    layers: Layers = option((360, 200, 80), "Hidden layer widths of each task's network", min_length=2)

    def head(self) -> dict[str, Any]:
        """The `head` part of a spec."""
        raise NotImplementedError

    def model(self) -> dict[str, Any]:
        encoder = {"name": "embedding", "options": {"dim": self.dim, "join": "sum_by_role"}}
        networks = private_networks(self.layers, own_embeddings=self.own_embeddings)
        return {"encoder": encoder, **networks, "head": self.head()}


@register("recipe", "esmm", "ESMM")
class ESMMRecipe(_Conversion):
    """Shared embeddings, a network for clicks and one for conversions, learned through their product."""

    card: ClassVar[Card] = _esmm_paper(
        "Conversions are known for clicked rows only and are rare; predictions are wanted for every exposure.",
        r"p_{\mathrm{ctcvr}} = p_{\mathrm{ctr}}\, p_{\mathrm{cvr}}, \quad "
        r"L = \ell(y, p_{\mathrm{ctr}}) + \ell(y \wedge c, p_{\mathrm{ctcvr}})",
        baseline=False,
    )

    def head(self) -> dict[str, Any]:
        return {"name": "esmm"}


@register("recipe", "esmm_ns", "ESMM-NS")
class ESMMNS(ESMMRecipe):
    """ESMM without sharing: each network has embeddings of its own. What is left is the product."""

    card: ClassVar[Card] = _esmm_paper(
        "How much of ESMM's gain comes from the product, and how much from sharing embeddings?",
        r"p_{\mathrm{ctcvr}} = p_{\mathrm{ctr}}\, p_{\mathrm{cvr}}, \quad \theta_{\mathrm{ctr}} \cap "
        r"\theta_{\mathrm{cvr}} = \emptyset",
    )
    own_embeddings: ClassVar[bool] = True


@register("recipe", "base_cvr", "BASE")
class BaseCVR(_Conversion):
    """A network of its own for conversions, taught by clicked rows alone."""

    card: ClassVar[Card] = _esmm_paper(
        "The usual way: learn conversions where they can be seen, after clicks, and apply the model everywhere.",
        r"L_{\mathrm{cvr}} = \frac{1}{|C|} \sum_{i \in C} \ell(c_i, p_i), \quad C = \{i : y_i = 1\}",
    )
    own_embeddings: ClassVar[bool] = True

    def head(self) -> dict[str, Any]:
        return {"name": "independent"}


@register("recipe", "aman", "AMAN")
class AMAN(BaseCVR):
    """BASE with some unclicked rows as negatives ("all missing as negative")."""

    card: ClassVar[Card] = _esmm_paper(
        "Unclicked rows are missing from training: put some of them in, and call them negatives.",
        r"C' = C \cup \{i : y_i = 0,\; u_i < r\}, \quad c_i = 0 \text{ for } y_i = 0",
    )

    rate: float = option(0.1, "Share of unclicked rows that are used", gt=0, le=1)

    def head(self) -> dict[str, Any]:
        return {"name": "independent", "options": {"conversion_rows": "aman", "unclicked_rate": self.rate}}


@register("recipe", "oversampling")
class Oversampling(BaseCVR):
    """BASE with conversions counted several times."""

    card: ClassVar[Card] = _esmm_paper(
        "Conversions are rare even among clicks: count each of them several times.",
        r"w_i = n \text{ for } c_i = 1, \quad w_i = 1 \text{ else}",
    )

    copies: int = option(2, "How often a conversion counts", ge=1, le=100)

    def head(self) -> dict[str, Any]:
        return {"name": "independent", "options": {"conversion_rows": "oversampling", "copies": self.copies}}


@register("recipe", "unbias", "UNBIAS")
class Unbias(BaseCVR):
    """BASE on clicked rows of which the easily clicked are more often left out."""

    card: ClassVar[Card] = _esmm_paper(
        "Clicked rows are not a fair sample of exposures: reject each with its chance of having been clicked.",
        r"P(\text{row } i \text{ is rejected}) = p_{\mathrm{ctr}}(x_i)",
    )

    def head(self) -> dict[str, Any]:
        return {"name": "independent", "options": {"conversion_rows": "unbias"}}


@register("recipe", "division", "DIVISION")
class DivisionRecipe(BaseCVR):
    """Clicks and click-and-conversion learned apart; the conversion rate is their ratio."""

    card: ClassVar[Card] = _esmm_paper(
        "Both rates can be learned on all exposures, so divide one by the other; the ratio may exceed 1.",
        r"p_{\mathrm{cvr}} = p_{\mathrm{ctcvr}} / p_{\mathrm{ctr}}",
    )

    def head(self) -> dict[str, Any]:
        return {"name": "division"}


@register("recipe", "esm2", "ESM2")
class ESM2Recipe(_Conversion):
    """The path over the cart as well: four networks on shared embeddings (the two of the purchase share a layer)."""

    card: ClassVar[Card] = Card(
        problem="Purchases are rarer still than clicks; carts and wish lists on the way to them are not.",
        formula=r"p_{\mathrm{cvr}} = Y_2 Y_3 + (1 - Y_2) Y_4, \quad p_{\mathrm{ctcvr}} = Y_1\, p_{\mathrm{cvr}}",
        paper="Entire Space Multi-Task Modeling via Post-Click Behavior Decomposition for Conversion Rate Prediction",
        authors="Wen, Zhang, Wang, Lv, Bao, Lin, Yang",
        year=2020,
        venue="SIGIR",
        reference="10.1145/3397271.3401443",
    )
    suits: ClassVar[dict[str, Any]] = WITH_CARTS

    def head(self) -> dict[str, Any]:
        return {"name": "esm2"}


@register("recipe", "aitm", "AITM")
class AITMRecipe(RecipeOptions):
    """A tower per step of the funnel, each attending to what the step before it passes on."""

    card: ClassVar[Card] = Card(
        problem="Steps follow each other, and each is rarer than the one before: pass on what that one knows.",
        formula=r"z_t = \sum_u w_u V(u), \; u \in \{p_{t-1}, q_t\}, \quad "
        r"L = \sum_t \mathrm{CE}_t + \alpha \max(\hat y_t - \hat y_{t-1}, 0)",
        paper="Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in "
        "Targeted Display Advertising",
        authors="Xi, Chen, Yan, Zhang, Zhu, Zhuang, Chen",
        year=2021,
        venue="KDD",
        reference="2105.08489",
    )
    suits: ClassVar[dict[str, Any]] = WITH_CARTS
    sized: ClassVar[dict[str, Any]] = {"layers": [64, 32]}

    dim: int = option(5, "Columns per categorical field", ge=1, le=256)
    layers: Layers = option((128, 64, 32), "Hidden layer widths of each step's tower", min_length=2)
    alpha: float = option(0.6, "Weight of the calibrator: a later step is no likelier than the one before", ge=0, le=10)

    def model(self) -> dict[str, Any]:
        encoder = {"name": "embedding", "options": {"dim": self.dim}}
        head = {"name": "aitm", "options": {"alpha": self.alpha}}
        return {"encoder": encoder, **private_networks(self.layers), "head": head}


@register("recipe", "escm2", "ESCM2")
class ESCM2Recipe(RecipeOptions):
    """ESMM over an MMoE, with a conversion loss that is weighted for the clicks it cannot see."""

    card: ClassVar[Card] = Card(
        problem="ESMM over-predicts conversions: rows that are clicked are also those that convert.",
        formula=r"L = L_{\mathrm{ctr}} + \lambda_c \frac{1}{|D|} \sum_D \frac{o\, e}{\mathrm{sg}(\hat o)} + "
        r"\lambda_g L_{\mathrm{ctcvr}}",
        paper="ESCM2: Entire Space Counterfactual Multi-Task Model for Post-Click Conversion Rate Estimation",
        authors="Wang, Chang, Liu, Huang, Chen, Yu, Li, Chu",
        year=2022,
        venue="SIGIR",
        reference="2204.05125",
    )
    suits: ClassVar[dict[str, Any]] = IDS

    estimator: Literal["ips", "dr"] = option("ips", "Inverse propensities, or doubly robust with an imputation tower")
    dim: int = option(8, "Columns per categorical field", ge=1, le=256)
    experts: int = option(4, "Experts, all shared", ge=1, le=64)

    def model(self) -> dict[str, Any]:
        return {
            "encoder": {"name": "embedding", "options": {"dim": self.dim}},
            "trunk": {"name": "mmoe", "options": {"experts": self.experts, "expert_layers": [64, 32]}},
            "towers": [16],
            "head": {"name": f"escm2_{self.estimator}"},
        }
