"""ESM2: Wen, Zhang, Wang, Lv, Bao, Lin, Yang, SIGIR 2020."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl_core.card import Card
from mtl_core.columns import Columns
from mtl_core.heads.funnel import BoundOptions
from mtl_core.heads.meeting import Joint, Role
from mtl_core.registry import register
from mtl_core.schema import Schema, Task

if TYPE_CHECKING:
    import torch

    from mtl_core.nn.heads import Head


@register("head", "esm2", "ESM2")
class ESM2(BoundOptions):
    """ESMM with an action between click and purchase: what was put in the cart is bought more often, and known more
    often.

    The purchase has two towers, one for those who took the action and one for those who did not. The action is the
    first binary task that comes after the click, the purchase the last one, after the click as well: things are bought
    without a cart, too. Other tasks after the click are learned as by ESMM.
    """

    card: ClassVar[Card] = Card(
        problem="Purchases are rare, but what leads to them (a cart, a wish list) is not.",
        formula=r"p(\mathrm{buy} \mid \mathrm{click}) = y_2 y_3 + (1 - y_2) y_4, \quad p_{\mathrm{ctavr}} = y_1 y_2, "
        r"\quad p_{\mathrm{ctcvr}} = y_1\, p(\mathrm{buy} \mid \mathrm{click})",
        paper="Entire Space Multi-Task Modeling via Post-Click Behavior Decomposition for Conversion Rate Prediction",
        authors="Wen, Zhang, Wang, Lv, Bao, Lin, Yang",
        year=2020,
        venue="SIGIR",
        reference="10.1145/3397271.3401443",
    )

    extra_role: ClassVar[Role] = "otherwise"

    def check(self, schema: Schema) -> None:
        action_and_purchase(schema.tasks)

    def extra(self, tasks: Sequence[Task]) -> tuple[int, ...]:
        return (action_and_purchase(tasks)[1],)

    def branches(self, tasks: Sequence[Task], first: int) -> tuple[tuple[Joint, ...], dict[int, int]]:
        action, purchase = action_and_purchase(tasks)
        branch = Joint("branch", (action, purchase, len(tasks)), purchase)
        return (branch,), {**{task: task for task in range(len(tasks))}, purchase: first}

    def build(self, tasks: Sequence[Task], columns: Columns, width: int, generator: torch.Generator) -> Head:
        from mtl_core.nn.heads import BranchingHead

        return BranchingHead(tasks, action_and_purchase(tasks), self.kl_bound)


def action_and_purchase(tasks: Sequence[Task]) -> tuple[int, int]:
    """Places of the action and of the purchase: the first and the last binary task after the first click.

    Raises:
        ValueError: there are no two such tasks.
    """
    binary = {task.name for task in tasks if task.kind == "binary"}
    parents = [task.after for task in tasks if task.name in binary and task.after in binary]
    after = [k for k, task in enumerate(tasks) if parents and task.name in binary and task.after == parents[0]]
    if len(after) < 2:
        raise ValueError(
            "this head needs a click and at least two binary tasks that come after it, first an action such as a cart, "
            "last the purchase."
        )
    return after[0], after[-1]
