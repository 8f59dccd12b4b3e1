"""The replay methods by name, each made of parts that can be combined in other ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from streamreplay.batch import Batch
from streamreplay.learners.methods import losses
from streamreplay.learners.methods.classifiers import Classifier, ClassifierFactory, NearestMean
from streamreplay.learners.methods.slda import StreamingLDASettings
from streamreplay.learners.methods.step import AskableLearner, Loss, NoteMaker, Retrieval, Step


@dataclass(frozen=True)
class Method:
    """Which loss is taken, which rows are retrieved, what is stored with a row, what predicts.

    Attributes
    ----------
    loss : callable
        Given a `Step`, returns what to descend on.
    reference : callable or None
        Another loss: the gradient of ``loss`` is projected so as not to raise it.
    retrieve : Retrieval or None
        Chooses among the candidates that the mixer drew; None rehearses what was drawn.
    notes : callable or None
        Given a `Step`, returns what the buffer is to store with its incoming rows.
    teacher : {"average", "snapshot"} or None
        The module that `Step.teacher_logits` come from: the moving average of the weights, or the
        module as it was at the end of the last experience.
    classifiers : tuple of ClassifierFactory
        What predicts in addition to the module's head, each given the logits of the one before:
        `NearestMean`, `StreamingLDASettings` or your own.
    look_back : int
        Incoming rows before the present batch whose classes still count as `Step.recent`.
    ema : float or None
        The decay of the moving average that a method needs; the learner's own setting comes first.
    retrain : int or None
        Passes over memory by which a fresh module is trained, instead of learning from the stream:
        before held-out rows are predicted, and after every ``retrain_every`` rows.
    retrain_every : int
        0: for held-out rows only.
    """

    loss: Loss = losses.both
    reference: Loss | None = None
    retrieve: Retrieval | None = None
    notes: NoteMaker | None = None
    teacher: Literal["average", "snapshot"] | None = None
    classifiers: tuple[ClassifierFactory, ...] = ()
    look_back: int = 0
    ema: float | None = None
    retrain: int | None = None
    retrain_every: int = 0

    @property
    def slda(self) -> StreamingLDASettings | None:
        """The settings of the method's streaming LDA, if it has one."""
        found = [each for each in self.classifiers if isinstance(each, StreamingLDASettings)]
        return found[0] if found else None

    def with_slda(self, settings: StreamingLDASettings) -> Method:
        """Return the method with a streaming LDA, in place of the one it may have."""
        others = tuple(
            each for each in self.classifiers if not isinstance(each, StreamingLDASettings)
        )
        return replace(self, classifiers=(*others, settings))


def find_method(method: Method | str | None) -> Method:
    """Return a method by its name; by default `er`.

    Raises
    ------
    ValueError
        There is no method of that name.
    """
    if isinstance(method, Method):
        return method
    if method is None:
        return er()
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    return METHODS[method]()


def make_classifiers(method: Method) -> dict[str, Classifier]:
    """Make a method's classifiers, by name.

    Raises
    ------
    ValueError
        Two have the same name.
    """
    made = [factory() for factory in method.classifiers]
    named = {each.name: each for each in made}
    if len(named) < len(made):
        names = ", ".join(each.name for each in made)
        raise ValueError(f"classifiers must have names of their own, got {names}")
    return named


def made_here(method: Method) -> bool:
    """Return whether all of a method's functions are of this package: none draws at random.

    Examples
    --------
    >>> made_here(derpp()), made_here(Method(loss=torch.sum))
    (True, False)
    """
    pieces = (method.loss, method.reference, method.retrieve, method.notes, *method.classifiers)
    if method.retrain is not None:  # it shuffles
        return False
    return all(_made_here(piece) for piece in pieces if piece is not None)


def _made_here(function: Callable[..., Any]) -> bool:
    if not str(getattr(function, "__module__", "")).startswith("streamreplay."):
        return False
    inner = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return all(_made_here(each) for each in inner if callable(each))


def er() -> Method:
    """Return experience replay: one mean over incoming rows and memory (Chaudhry et al., 2019)."""
    return Method()


def er_ace(look_back: int = 0) -> Method:
    """Return ER with asymmetric cross-entropy (Caccia et al., 2022).

    Parameters
    ----------
    look_back : int
        Rows before the batch whose classes an incoming row also competes with. 0 is the published
        method. Batches of one row need more, or their own row has no class to compete with.
    """
    return Method(losses.asymmetric, look_back=look_back)


def der(alpha: float = 0.3) -> Method:
    """Return dark experience replay: logits stay close to stored ones (Buzzega et al., 2020)."""
    return Method(losses.dark(losses.on_incoming, alpha), notes=logits)


def derpp(alpha: float = 0.3, beta: float = 1.0) -> Method:
    """Return DER++: dark experience replay with stored labels as well (Buzzega et al., 2020)."""
    return Method(losses.dark(losses.on_incoming, alpha, beta), notes=logits)


def agem() -> Method:
    """Return A-GEM: no step may raise the loss on memory (Chaudhry et al., 2019)."""
    return Method(losses.on_incoming, reference=losses.on_memory)


def mir() -> Method:
    """Return maximally interfered retrieval (Aljundi et al., 2019)."""
    return Method(retrieve=most_interfered)


def lwf(distillation: float = 1.0, temperature: float = 2.0) -> Method:
    """Return ER with distillation from the module of the last experience (Li & Hoiem, 2016)."""
    return Method(losses.distilled(losses.both, distillation, temperature), teacher="snapshot")


def mkd(distillation: float = 3.0, temperature: float = 4.0, ema: float = 0.99) -> Method:
    """Return ER with distillation from its own moving average (Michel et al., 2024)."""
    loss = losses.distilled(losses.both, distillation, temperature)
    return Method(loss, teacher="average", ema=ema)


def ncm() -> Method:
    """Return ER that predicts by the nearest class mean of stored features (iCaRL, 2017)."""
    return Method(classifiers=(NearestMean,))


def er_slda(
    look_back: int | None = None,
    slda_features: int = 500,
    slda_weight: float = 1.0,
    slda_margin: float = 0.005,
) -> Method:
    """Return ER that predicts together with streaming LDA, which cannot forget.

    Streaming LDA classifies fixed random features by sums over all rows (Hayes & Kanan, 2020;
    Prabhu et al., 2024, RanDumb). Its log-probabilities are added to those of the module.

    Parameters
    ----------
    look_back : int, optional
        The module learns by `er_ace` with this; by default, None, by `er`.
    slda_features : int
        How many random features; 500 take 4 MB in addition to the buffer, 2,000 take 64 MB.
    slda_weight : float
        The weight of its log-probabilities.
    slda_margin : float
        How much accuracy on current classes may be traded for accuracy on old ones; 0.02 is better
        where classes come one after the other.
    """
    base = er() if look_back is None else er_ace(look_back)
    return base.with_slda(StreamingLDASettings(slda_features, slda_weight, slda_margin))


def gdumb(retrain_passes: int = 30, retrain_every: int = 10_000) -> Method:
    """Return GDumb: a fresh module is trained on memory alone when needed (Prabhu et al., 2020).

    Parameters
    ----------
    retrain_passes : int
        Passes over the rows of memory.
    retrain_every : int
        Rows of the stream after which a fresh module is trained, even without held-out rows.
    """
    return Method(retrain=retrain_passes, retrain_every=retrain_every)


METHODS: Mapping[str, Callable[..., Method]] = {
    "er": er,
    "er-ace": er_ace,
    "der": der,
    "der++": derpp,
    "a-gem": agem,
    "mir": mir,
    "lwf": lwf,
    "mkd": mkd,
    "ncm": ncm,
    "er-slda": er_slda,
    "gdumb": gdumb,
}
"""Methods by the names that job files use."""


def logits(step: Step) -> dict[str, torch.Tensor]:
    """Return the logits of the incoming rows, to be stored with them.

    They are NaN for classes that no label has named, and where they are not finite.
    """
    found = step.logits[: step.n]
    return {"logits": found.masked_fill(~(step.known & found.isfinite()), torch.nan)}


def most_interfered(
    learner: AskableLearner, incoming: Batch, candidates: Batch, k: int
) -> NDArray[np.int64]:
    """Choose the candidates whose loss a step on the incoming rows alone would raise most.

    References
    ----------
    R. Aljundi et al., "Online continual learning with maximally interfered retrieval", 2019,
    algorithm 1 (ER-MIR).
    """
    rise = learner.losses_after(incoming, candidates) - learner.losses(candidates)
    return np.argsort(-rise, kind="stable")[:k]


def hardest(
    learner: AskableLearner, incoming: Batch, candidates: Batch, k: int
) -> NDArray[np.int64]:
    """Choose the candidates with the largest loss; the incoming rows do not matter."""
    del incoming
    return np.argsort(-learner.losses(candidates), kind="stable")[:k]
