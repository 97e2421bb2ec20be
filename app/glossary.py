"""The field's terms as these pages use them, each in a sentence or two. No Streamlit, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from app.i18n import mark, tr


@dataclass(frozen=True)
class Term:
    """A term and what it means."""

    #: In the link, and for `terms_help`.
    name: str
    #: As it is written.
    word: str
    meaning: str

    @property
    def title(self) -> str:
        """The word in the reader's language, with a capital."""
        word = tr(self.word)
        return word[:1].upper() + word[1:]


#: From the data over the parts of a model, in the order in which data pass them, to what is measured.
TERMS = (
    Term("task", mark("task"), mark(
        "One label that a model predicts: a click, a purchase, how long somebody watches. Multi-task learning "
        "trains one model on several of them at once."
    )),
    Term("sample_space", mark("sample space"), mark(
        "The rows on which a task has a label. A purchase is known for clicked rows only, so a model that learns "
        "from those sees other rows than it is asked about: selection bias."
    )),
    Term("funnel", mark("funnel"), mark(
        "Tasks that come one after another: shown, clicked, put in the cart, bought. Each step is rarer than the "
        "one before it."
    )),
    Term("ctr_cvr", mark("CTR, CVR and CTCVR"), mark(
        "The chance of a click (CTR), of a purchase given the click (CVR), and of both (CTCVR, their product)."
    )),
    Term("embedding", mark("embedding"), mark(
        "A short learned list of numbers that stands for a value of a column, such as a user or a city. Tasks may "
        "share them or have their own."
    )),
    Term("encoder", mark("encoder"), mark(
        "The part of a model that turns a row's columns into numbers: it looks up embeddings and puts them "
        "together."
    )),
    Term("trunk", mark("trunk"), mark(
        "The part between encoder and towers, in which tasks share networks or keep their own. Who may use which "
        "is what tells one architecture from another."
    )),
    Term("expert", mark("expert"), mark(
        "A small network within the trunk. A shared expert serves every task, a private one belongs to a task."
    )),
    Term("gate", mark("gate"), mark(
        "Decides how much a task takes of each expert: weights between 0 and 1 that sum to 1, worked out anew for "
        "every row. Its mean weights are what the line widths show."
    )),
    Term("tower", mark("tower"), mark(
        "A task's own last layers: they turn what the trunk gives into the task's prediction."
    )),
    Term("head", mark("head"), mark(
        "What is made of the towers' numbers. The plain one takes each as it is; others multiply, divide or pass "
        "on along the funnel, as ESMM and AITM do."
    )),
    Term("shared_bottom", mark("shared bottom"), mark(
        "The simplest way to share: one network for all tasks, and a tower for each."
    )),
    Term("balancer", mark("balancer"), mark(
        "Decides how much each task counts in a training step: by fixed loss weights, by weights that it learns, "
        "or by combining the tasks' gradients."
    )),
    Term("gradient_conflict", mark("gradient conflict"), mark(
        "Two tasks want to move the shared parameters in opposite directions: the cosine of their gradients is "
        "below 0, so a step that helps one hurts the other."
    )),
    Term("single_task", mark("single-task yardstick"), mark(
        "A network of its own for every task, trained on the same data, with the same seed and budget. What "
        "several tasks in one model gain or lose is measured against it."
    )),
    Term("gain", mark("gain"), mark(
        "How much better than the single-task yardstick. For labels that are yes or no: the difference in AUC, in "
        "thousandths. For numbers: by how many percent the squared error is lower."
    )),
    Term("thousandths", mark("thousandths of AUC"), mark(
        "The unit of gains: AUC 0.8520 against 0.8500 is +2.0. At companies one thousandth of AUC counts as "
        "remarkable."
    )),
    Term("auc", mark("AUC"), mark(
        "The chance that a row with the label 1 is ranked above one with the label 0. 0.5 is guessing, 1 is "
        "perfect."
    )),
    Term("mse", mark("MSE"), mark(
        "The mean squared error of a predicted number: lower is better, and its size depends on the unit of the "
        "label."
    )),
    Term("seesaw", mark("seesaw"), mark(
        "One task gains and another pays for it. The seesaw plot draws one gain against the other."
    )),
    Term("negative_transfer", mark("negative transfer"), mark(
        "A task is worse off in the common model than alone: what it shares with the others hurts it."
    )),
    Term("paired_seeds", mark("seed, paired seeds"), mark(
        "The number from which a run draws its data, its start and its order of rows. Two models are compared on "
        "the same seeds, so that luck with the data cancels out."
    )),
    Term("interval", mark("95% interval"), mark(
        "How far a mean over seeds may be off. A gain whose interval contains 0 cannot be told from chance; one "
        "seed has no interval."
    )),
    Term("calibration", mark("calibration (PCOC)"), mark(
        "Predicted chances over what really happened: 1 is right on average, above 1 the model promises too much. "
        "A good ranking can be badly calibrated."
    )),
)  # fmt: skip

_BY_NAME = {term.name: term for term in TERMS}


def terms_help(*names: str) -> str:
    """Terms with what each means, a paragraph each, for hover texts.

    Raises:
        KeyError: there is no such term.
    """
    terms = (_BY_NAME[name] for name in names)
    return "\n\n".join(tr("**{term}**: {meaning}", term=term.title, meaning=tr(term.meaning)) for term in terms)


def find(text: str) -> list[Term]:
    """Terms in which every word of the text occurs, in English or in the reader's language."""
    words = text.casefold().split()
    return [term for term in TERMS if all(word in _told(term) for word in words)]


def _told(term: Term) -> str:
    return " ".join((term.word, term.meaning, tr(term.word), tr(term.meaning))).casefold()
