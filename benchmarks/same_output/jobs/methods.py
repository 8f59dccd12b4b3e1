"""Jobs with every method, and with methods of the user's own."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.same_output.job import Job
from benchmarks.same_output.jobs.parts import (
    EXPERIENCES,
    FEATURES,
    LABEL,
    READS,
    REPORT,
    TEST,
    whole,
)

METHODS: dict[str, tuple[str, ...]] = {
    "er": (),
    "er-ace": ("look_back=50",),
    "der": ("alpha=0.3",),
    "der++": ("alpha=0.2", "beta=0.7"),
    "a-gem": (),
    "mir": (),
    "lwf": ("distillation=0.5", "temperature=3.0"),
    "mkd": ("distillation=2.0",),
    "ncm": (),
    "gdumb": ("retrain_passes=2", "retrain_every=400"),
    "gss": (),
    "er-slda": ("random_features=50", "discriminant_weight=0.8", "discriminant_margin=0.01"),
    "auto": (),
}
OF_DIGITS = (
    "source.split.n_experiences=5",
    "test.share=0.25",
    "source.batch_size=10",
    "learner.hidden=[32]",
    "buffer.max_size=100",
    "run.limit=600",
)


def methods() -> Iterator[Job]:
    """Yield jobs with each method on rows of a table, and on digits that are split by class."""
    for method, given in METHODS.items():
        more = [f"learner.{each}" for each in (f"method={method}", *given)]
        reads = (*READS, REPORT) if method in ("auto", "lwf") else READS
        yield whole(f"method-{method}", LABEL, EXPERIENCES, *TEST, *more, reads=reads)
    yield whole("method-none", LABEL, "buffer.kind=none", EXPERIENCES, *TEST)
    yield whole("defaults", LABEL, common=(FEATURES,), flags=("--limit", "600"))
    for method in ("er", "er-ace", "der++", "ncm", "lwf"):
        yield whole(
            f"digits-{method}",
            f"learner.method={method}",
            source="digits.npz",
            common=OF_DIGITS,
            reads=(*READS, REPORT) if method == "er-ace" else READS,
        )
    own = ("loss=ownpieces:focal", "notes=ownpieces:entropy", "retrieval=ownpieces:unsure")
    yield whole("pieces", LABEL, *(f"learner.{each}" for each in own))
    yield whole("pieces-method", LABEL, "learner.method=ownpieces:mine")
    hardest = ("learner.retrieval=hardest", "mixer.candidates=40", "mixer.batch_size_mem=8")
    yield whole("retrieval-hardest", LABEL, *hardest)
    discriminant = ("learner.method=der++", "learner.random_features=40")
    yield whole("discriminant-beside-der++", LABEL, *discriminant)
