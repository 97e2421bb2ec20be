"""AITM: Xi, Chen, Yan, Zhang, Zhu, Zhuang, Chen, KDD 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.funnel import Funnel
from mtl_core.heads.funnel import FunnelOptions
from mtl_core.heads.meeting import Meeting, own_towers
from mtl_core.options import option
from mtl_core.registry import register
from mtl_core.schema import Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


@register("head", "aitm", "AITM")
class AITM(FunnelOptions):
    """Each step of a funnel hears, by attention, from the step before it, and pays where it is predicted likelier.

    Steps predict the end-to-end probability of getting that far, learned from all exposures; the logit reported for a
    step is that of p_t / p_parent, its probability given the step before it (a ratio above .99 is squeezed below 1, in
    order). The calibrator is a mean over rows and steps, so neither the batch size nor the length of the funnel changes
    what `alpha` means. There is no `kl_bound`: the steps predict the order directly already.
    """

    card: ClassVar[Card] = Card(
        problem="A long funnel: later steps are rarer and rarer, but whoever gets there went through all before.",
        formula=r"z_t = \sum_{u \in \{g(z_{t-1}),\, q_t\}} w_u V(u), \quad "
        r"w_u = \mathrm{softmax}_u \frac{\langle Q(u), K(u) \rangle}{\sqrt{h}}, \quad "
        r"L = \sum_t \ell(y_t, p_t) + \alpha\, \mathrm{mean}_{t \geq 2} \max(p_t - p_{t-1}, 0)",
        paper="Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in "
        "Targeted Display Advertising",
        authors="Xi, Chen, Yan, Zhang, Zhu, Zhuang, Chen",
        year=2021,
        venue="KDD",
        reference="2105.08489",
    )

    alpha: float = option(
        0.6, "Weight of the calibrator: what it costs to predict a step likelier than the one before", ge=0, le=100
    )

    @property
    def vectors(self) -> bool:
        return True

    def meeting(self, tasks: Sequence[Task]) -> Meeting:
        funnel = Funnel.of(tasks)
        return Meeting(own_towers(len(tasks)), passes=tuple((funnel.parent(step), step) for step in funnel.steps))

    def parameters(self, tasks: Sequence[Task], columns: Columns, width: int) -> int:
        transfer = (width + 1) * width + 3 * width * width
        return len(tasks) * (width + 1) + len(Funnel.of(tasks).steps) * transfer

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import AITMHead

        return AITMHead(tasks, width, self.alpha, generator)
