"""Replay methods and the parts they are made of."""

from streamreplay.learners.methods.catalogue import (
    METHODS,
    Method,
    agem,
    der,
    derpp,
    er,
    er_ace,
    er_slda,
    gdumb,
    lwf,
    mir,
    mkd,
    ncm,
)
from streamreplay.learners.methods.step import Retrieval

__all__ = [
    "METHODS",
    "Method",
    "Retrieval",
    "agem",
    "der",
    "derpp",
    "er",
    "er_ace",
    "er_slda",
    "gdumb",
    "lwf",
    "mir",
    "mkd",
    "ncm",
]
