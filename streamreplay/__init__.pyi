from .batch import Batch, Rehearsal, Report, Scored
from .buffers import ClassBalancedBuffer, ReservoirSamplingBuffer
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
from .mixing import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    Mixer,
    Provenance,
    ReplayDataLoader,
    TaskBalancedDataLoader,
)
from .stage import Pipeline, Source, Stage, Stateful

__all__ = [
    "ArraySource",
    "Batch",
    "CheckpointError",
    "ClassBalancedBuffer",
    "ConfigError",
    "CorruptCheckpointError",
    "CsvSource",
    "DivergenceError",
    "GroupBalancedDataLoader",
    "GroupBalancedInfiniteDataLoader",
    "Holdout",
    "Job",
    "JsonlSource",
    "Labels",
    "Mixer",
    "Pipeline",
    "Prequential",
    "Provenance",
    "RecordError",
    "Rehearsal",
    "ReplayDataLoader",
    "Report",
    "ReservoirSamplingBuffer",
    "RunFolderError",
    "Scored",
    "Source",
    "SourceError",
    "Stage",
    "Stateful",
    "StreamReplayError",
    "TaskBalancedDataLoader",
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
