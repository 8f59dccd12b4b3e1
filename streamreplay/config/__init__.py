"""Read a job file, a typed description of a run, and build its pipeline.

The names below are loaded when they are first used: reading a job needs none of its parts.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
