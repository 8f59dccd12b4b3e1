"""Jobs with several learners, with River's, and with every lever and model."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.same_output.job import Call, Job
from benchmarks.same_output.jobs.job_files import OWN_BUFFERS, SHARED_BUFFER
from benchmarks.same_output.jobs.parts import (
    EXPERIENCES,
    FREE,
    LABEL,
    PICTURES,
    READS,
    REPORT,
    whole,
)

RIVER_MODELS = {
    "forest": "forest.ARFClassifier(n_models=2)",
    "softmax": "preprocessing.StandardScaler() | linear_model.SoftmaxRegression()",
    "own": "ownpieces:bayes",
}


def learners() -> Iterator[Job]:
    """Yield jobs with several learners, and with models of River."""
    call = Call(("run", "job.toml", "--out", "out"))
    compare = Call(("compare", "out", "--json"))
    reads = (*READS, compare, Call(("inspect", "out")), REPORT)
    for name, text in (("own", OWN_BUFFERS), ("shared", SHARED_BUFFER)):
        files = (("job.toml", text),)
        yield Job(f"several-{name}", (call,), reads, files=files)
    pickle = "learner.allow_pickle=true"
    for name, model in RIVER_MODELS.items():
        given = (LABEL, f"learner.river='{model}'", pickle)
        yield whole(f"river-{name}", *given, common=FREE, flags=("--limit", "500"))
    price = ("source.target=price", "source.batch_size=1", "buffer.kind=none")
    linear = "learner.river='preprocessing.StandardScaler() | linear_model.LinearRegression()'"
    yield whole("river-regressor", linear, pickle, *price, common=FREE)
    tags = ("source.label=tags", "source.multilabel=['red','big']")
    chain = "learner.river='multioutput.ClassifierChain(model=tree.HoeffdingTreeClassifier())'"
    yield whole("river-labels", chain, pickle, *tags, common=FREE)
    behind = ("backbone.module=ownpieces:backbone", "learner.river='naive_bayes.GaussianNB()'")
    yield whole("river-backbone", LABEL, *behind, pickle, common=FREE)


LEVERS = {
    "augment-rows": ("augment=['noise(0.1)','feature_dropout(0.1)','mixup(0.3)']",),
    "augment-own": ("augment=['ownpieces:shaken']", "augment_incoming=false"),
    "inverse-sqrt": ("schedule=inverse_sqrt(50)", "warmup=20", "schedule_restarts=true"),
    "inverse-time": ("schedule=inverse_time(50)", "weight_decay=0.01", "optimizer=adamw"),
    "cosine": ("schedule='cosine(40, floor=0.1, growth=2)'", "schedule_weight_decay=true"),
    "own-schedule": ("schedule=ownpieces:halving", "optimizer=sgd", "lr=0.1", "momentum=0.9"),
    "warmup": ("warmup=30", "method=er"),
    "ema": ("ema=0.9", "method=er"),
    "ema-ace": ("ema=0.95", "method=er-ace"),
    "clipping": ("clip_grad_norm=0.5", "method=er"),
    "smoothing": ("label_smoothing=0.1",),
    "smoothing-der": ("label_smoothing=0.1", "method=der++", "clip_grad_norm=1.0"),
    "class-weight": ("class_weight={cat=2.0, emu=0.5}",),
    "standard": ("normalize=standard",),
    "unscaled": ("normalize=none",),
    "skip": ("optimizer=sgd", "lr=1e30", "on_divergence=skip"),
}


def levers() -> Iterator[Job]:
    """Yield a job for each option of training, for a failure, and for augmented images."""
    for name, each in LEVERS.items():
        yield whole(f"lever-{name}", LABEL, EXPERIENCES, *(f"learner.{one}" for one in each))
    raised = ("learner.optimizer=sgd", "learner.lr=1e30")
    yield whole("lever-raise", LABEL, *raised, reads=(), code=1)
    images = ("augment=['crop(2)','flip()','jitter(0.2, 0.2)','cutout(3)']", "module=cnn")
    small = ("channels=[4,8]", "method=er")
    each = tuple(f"learner.{one}" for one in (*images, *small))
    yield whole("lever-augment-images", *each, source="images-idx3-ubyte.gz", common=PICTURES)


MODELS = {
    "linear": ("module=linear",),
    "linear-cosine": ("module=linear", "head=cosine", "method=er"),
    "mlp-cosine": ("hidden=[16]", "head=cosine", "method=er-ace"),
    "mlp-weight-norm": ("hidden=[12,8]", "head=weight_norm"),
    "cnn": ("module=cnn", "channels=[4]", "norm=none"),
    "cnn-weight-norm": ("module=cnn", "channels=[4,6]", "head=weight_norm", "method=der++"),
    "cnn-cosine": ("module=cnn", "channels=[4,6]", "head=cosine", "method=ncm"),
    "resnet": ("module=slim_resnet18", "channels=[2]", "method=er"),
    "resnet-group": ("module=slim_resnet18", "channels=[2]", "norm=group", "head=cosine"),
    "own": ("module=ownpieces:net",),
    "own-dropout": ("module=ownpieces:dropping", "method=mir"),
    "own-frozen": ("module=ownpieces:frozen", "method=er"),
}


def models() -> Iterator[Job]:
    """Yield a job for each model on images, and one that learns behind a frozen backbone."""
    for name, each in MODELS.items():
        more = (f"learner.{one}" for one in each)
        limit = "run.limit=160" if "resnet" in name else "run.limit=320"
        source = "images-idx3-ubyte.gz"
        yield whole(f"model-{name}", *more, limit, source=source, common=PICTURES)
    latent = ("backbone.module=ownpieces:backbone", "test.share=0.2", "buffer.kind=parametric")
    source = "images-idx3-ubyte.gz"
    yield whole("backbone", *latent, "learner.head=cosine", source=source, common=PICTURES)
