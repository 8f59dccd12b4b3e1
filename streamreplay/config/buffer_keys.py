"""Which keys of a job's ``[buffer]`` go together."""

_BALANCED = ("class_balanced", "task_balanced", "experience_balanced")
GOES_WITH: dict[str, tuple[str, ...]] = {
    "groups": _BALANCED,
    "groupby": ("parametric",),
    "selection": ("parametric",),
    "half_life": ("decayed",),
    "half_life_seconds": ("decayed",),
}
"""Keys that only some kinds of buffers have."""

EITHER = (("half_life", "half_life_seconds"), ("ttl", "ttl_seconds"))
"""Keys that exclude each other."""
