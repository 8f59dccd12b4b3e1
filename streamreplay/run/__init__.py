"""Running a job: the run folder, its logs, signals, progress, resume.

The names below are loaded when they are first used: reading logs needs no learner.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
