from .batch import Batch, Rehearsal, Report, Scored
from .buffers import (
    ClassBalancedBuffer,
    DecayedReservoirBuffer,
    ExemplarsBuffer,
    ExperienceBalancedBuffer,
    ParametricBuffer,
    ReservoirSamplingBuffer,
    SlidingWindowBuffer,
    TaskBalancedBuffer,
)
from .buffers.selection import (
    Candidates,
    ClosestToCenterSelectionStrategy,
    ExemplarsSelectionStrategy,
    GSSGreedySelectionStrategy,
    HerdingSelectionStrategy,
    LossAwareSelectionStrategy,
    OnlineSelectionStrategy,
    RandomExemplarsSelectionStrategy,
)
from .bundled import data_path
from .checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from .config import Job, build, load_job, make_holdout
from .errors import (
    CheckpointError,
    ConfigError,
    CorruptCheckpointError,
    DivergenceError,
    RecordError,
    RunFolderError,
    SourceError,
    StreamReplayError,
)
from .evaluation import Holdout, Prequential
from .ingest import (
    ArraySource,
    CsvSource,
    JsonlSource,
    Labels,
    hold_out,
    in_memory,
    open_idx,
    open_npz,
    split_by_class,
)
from .learners import TorchLearner, linear, mlp
from .mixing import Mixer
from .stage import Pipeline, Source, Stage, Stateful

__all__ = [
    "ArraySource",
    "Batch",
    "Candidates",
    "CheckpointError",
    "ClassBalancedBuffer",
    "ClosestToCenterSelectionStrategy",
    "ConfigError",
    "CorruptCheckpointError",
    "CsvSource",
    "DecayedReservoirBuffer",
    "DivergenceError",
    "ExemplarsBuffer",
    "ExemplarsSelectionStrategy",
    "ExperienceBalancedBuffer",
    "GSSGreedySelectionStrategy",
    "HerdingSelectionStrategy",
    "Holdout",
    "Job",
    "JsonlSource",
    "Labels",
    "LossAwareSelectionStrategy",
    "Mixer",
    "OnlineSelectionStrategy",
    "ParametricBuffer",
    "Pipeline",
    "Prequential",
    "RandomExemplarsSelectionStrategy",
    "RecordError",
    "Rehearsal",
    "Report",
    "ReservoirSamplingBuffer",
    "RunFolderError",
    "Scored",
    "SlidingWindowBuffer",
    "Source",
    "SourceError",
    "Stage",
    "Stateful",
    "StreamReplayError",
    "TaskBalancedBuffer",
    "TorchLearner",
    "build",
    "data_path",
    "hold_out",
    "in_memory",
    "latest_checkpoint",
    "linear",
    "load_checkpoint",
    "load_job",
    "make_holdout",
    "mlp",
    "open_idx",
    "open_npz",
    "save_checkpoint",
    "split_by_class",
]

__version__: str
