"""Systems that companies described, and the architectures that papers named."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from mtl_core.card import Card
from mtl_core.options import Layers, option
from mtl_core.recipes.base import RecipeOptions
from mtl_core.registry import get, register

Weight = Annotated[float, Field(ge=0, le=1000)]
FEED: dict[str, Any] = {"name": "video_feed", "options": {}}


def _part(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "options": options}


@register("recipe", "dupn", "DUPN")
class DUPN(RecipeOptions):
    """One user representation, read from behaviours in their order and used by every task.

    Its daily update is a run that starts from the last one's weights: `init_from`, with the next `day` of the data.
    """

    card: ClassVar[Card] = Card(
        problem="What somebody wants now shows in the order of what they did, and every task needs it.",
        formula=r"r = \sum_t a_t h_t, \quad h_t = \mathrm{PLSTM}(e_t, p_t, h_{t-1}), \quad "
        r"a_t = \mathrm{softmax}_t\, g(h_t, u)",
        paper="Perceive Your Users in Depth: Learning Universal User Representations from Multiple E-commerce Tasks",
        authors="Ni, Ou, Liu, Li, Ou, Zeng, Si",
        year=2018,
        venue="KDD",
        reference="1805.10727",
    )
    suits: ClassVar[dict[str, Any]] = {"name": "ecommerce_sequences", "options": {}}

    dim: int = option(8, "Columns per embedding", ge=1, le=256)
    hidden: int = option(32, "Columns of the summary of the behaviours", ge=1, le=512)
    layers: Layers = option((64,), "Hidden layer widths of the shared network", min_length=1)

    def model(self) -> dict[str, Any]:
        return {
            "encoder": _part("behaviour_sequence", dim=self.dim, hidden=self.hidden),
            "trunk": _part("shared_bottom", layers=list(self.layers)),
            "towers": [16],
        }


@register("recipe", "meituan", "Meituan")
class Meituan(RecipeOptions):
    """Clicks and orders on one network, with a layer for missing numbers and a bound between the two predictions."""

    card: ClassVar[Card] = Card(
        problem="Numbers are missing, and two predictions of the same order should agree.",
        formula=r"L + \mathrm{KL}(P \| Q) + \mathrm{KL}(Q \| P), \quad "
        r"P = p_{\mathrm{click}}\, p_{\mathrm{order|click}}, \; Q = p_{\mathrm{order}}",
        paper="Deep learning in Meituan's recommendation ranking (tech blog)",
        authors="Meituan",
        year=2018,
    )
    suits: ClassVar[dict[str, Any]] = {"name": "funnel", "options": {"inputs": "dense"}}

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)
    layers: Layers = option((64,), "Hidden layer widths of the shared network", min_length=1)
    kl_bound: float = option(1.0, "Weight of the bound", ge=0, le=10)

    def model(self) -> dict[str, Any]:
        return {
            "encoder": _part("missing_value", dim=self.dim),
            "trunk": _part("shared_bottom", layers=list(self.layers)),
            "towers": [16],
            "head": _part("independent", kl_bound=self.kl_bound),
        }


@register("recipe", "mmoe", "MMoE")
class MMoERecipe(RecipeOptions):
    """The MMoE paper's model of its synthetic study: 8 experts of one layer of 16, towers of one layer of 8."""

    card: ClassVar[Card] = get("trunk", "mmoe").card  # type: ignore[attr-defined]
    suits: ClassVar[dict[str, Any]] = {"name": "mmoe_synthetic", "options": {}}

    def model(self) -> dict[str, Any]:
        return {"trunk": {"name": "mmoe", "options": {"experts": 8, "expert_layers": [16]}}, "towers": [8]}


@register("recipe", "youtube", "YouTube")
class YouTube(RecipeOptions):
    """MMoE over engagement and satisfaction, classes and numbers, with a shallow tower for where a video stood.

    The shared layer below the experts is left out: experts read the embeddings.
    """

    card: ClassVar[Card] = Card(
        problem="Viewers click what stands on top: tell what they like from where it was shown.",
        formula=r"z_k = h_k\left(\sum_i w_{k,i} E_i(x)\right) + s_k(\mathrm{position}), \quad p_k = \sigma(z_k)",
        paper="Recommending What Video to Watch Next: A Multitask Ranking System",
        authors="Zhao, Hong, Wei, Chen, Nath, Andrews, Kumthekar, Sathiamoorthy, Yi, Chi",
        year=2019,
        venue="RecSys",
    )
    suits: ClassVar[dict[str, Any]] = FEED

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)
    experts: int = option(8, "Experts, all shared", ge=1, le=64)
    expert_layers: Layers = option((64, 32), "Hidden layer widths of each expert", min_length=1)
    gate_dropout: float = option(0.1, "Probability that an expert's gate weight is dropped in training", ge=0, lt=1)
    drop: float = option(0.1, "Probability that a training row's position is dropped", ge=0, lt=1)

    def model(self) -> dict[str, Any]:
        trunk = {"experts": self.experts, "expert_layers": list(self.expert_layers), "gate_dropout": self.gate_dropout}
        return {
            "encoder": _part("embedding", dim=self.dim),
            "trunk": _part("mmoe", **trunk),
            "towers": [16],
            "head": _part("shallow_tower", inner="independent", drop=self.drop),
        }


@register("recipe", "zhihu", "Zhihu")
class Zhihu(RecipeOptions):
    """Shared embeddings and first layers, one tower per action, and a fixed weight for each loss."""

    card: ClassVar[Card] = Card(
        problem="Readers click, like, collect, share and comment: one feed has to serve all of it.",
        formula=r"L = \sum_{k=1}^{8} w_k L_k",
        paper="Multi-objective ranking of Zhihu's home feed (talk)",
        authors="Zhihu",
        year=2019,
    )
    suits: ClassVar[dict[str, Any]] = FEED

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)
    layers: Layers = option((128, 64), "Hidden layer widths of the shared network", min_length=1)
    weights: tuple[Weight, ...] | None = option(
        None, "One weight per task, in task order; none given means 1 each (Zhihu published none)", per_task=True
    )

    def model(self) -> dict[str, Any]:
        return {
            "encoder": _part("embedding", dim=self.dim),
            "trunk": _part("shared_bottom", layers=list(self.layers)),
            "towers": [32],
        }

    def balancer(self) -> dict[str, Any]:
        return _part("static", weights=None if self.weights is None else list(self.weights))


@register("recipe", "meitu_nfwfm", "Meitu NFwFM")
class MeituNFwFM(RecipeOptions):
    """Products of fields, each pair with a weight of its own, under a shared network for clicks and follows."""

    card: ClassVar[Card] = get("encoder", "nfwfm").card  # type: ignore[attr-defined]
    suits: ClassVar[dict[str, Any]] = FEED

    dim: int = option(16, "Columns per field", ge=1, le=256)
    layers: Layers = option((128, 64), "Hidden layer widths of the shared network", min_length=1)

    def model(self) -> dict[str, Any]:
        return {
            "encoder": _part("nfwfm", dim=self.dim),
            "trunk": _part("shared_bottom", layers=list(self.layers)),
            "towers": [],
        }


@register("recipe", "ple", "PLE")
class PLERecipe(RecipeOptions):
    """Progressive layered extraction with losses over each task's own rows, and weights that decay by the epoch.

    The paper prints no values for weights and rates: they are the balancer's defaults here.
    """

    card: ClassVar[Card] = get("trunk", "ple").card  # type: ignore[attr-defined]
    suits: ClassVar[dict[str, Any]] = FEED
    sized: ClassVar[dict[str, Any]] = {"shared_experts": 2, "task_experts": 1}

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)
    shared_experts: int = option(4, "Experts that every task's gate sees, per level", ge=1, le=32)
    task_experts: int = option(2, "Private experts of each task, per level", ge=0, le=32)

    def model(self) -> dict[str, Any]:
        trunk = {"shared_experts": self.shared_experts, "task_experts": self.task_experts, "expert_layers": [64]}
        return {
            "encoder": _part("embedding", dim=self.dim),
            "trunk": _part("ple", levels=2, **trunk),
            "towers": [16],
        }

    def balancer(self) -> dict[str, Any]:
        return _part("decay")


class _Trunk(RecipeOptions):
    """A trunk with its own defaults, on embeddings."""

    suits: ClassVar[dict[str, Any]] = FEED
    trunk: ClassVar[str]

    dim: int = option(8, "Columns per categorical field", ge=1, le=256)

    def model(self) -> dict[str, Any]:
        return {
            "encoder": _part("embedding", dim=self.dim),
            "trunk": {"name": self.trunk},
            "towers": [16],
        }


@register("recipe", "adatt", "AdaTT")
class AdaTTRecipe(_Trunk):
    """Every task listens to every expert, and hears its own on a line that no gate can close."""

    card: ClassVar[Card] = get("trunk", "adatt").card  # type: ignore[attr-defined]
    trunk: ClassVar[str] = "adatt"


@register("recipe", "stem", "STEM")
class STEMRecipe(_Trunk):
    """Embeddings of each task's own beside shared ones; what a task does not own, its loss does not move."""

    card: ClassVar[Card] = get("trunk", "stem").card  # type: ignore[attr-defined]
    trunk: ClassVar[str] = "stem"


@register("recipe", "pepnet", "PEPNet")
class PEPNetRecipe(_Trunk):
    """Every layer of every task scaled by a gate that reads who is looking at what."""

    card: ClassVar[Card] = get("trunk", "pepnet").card  # type: ignore[attr-defined]
    trunk: ClassVar[str] = "pepnet"
