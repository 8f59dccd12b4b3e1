"""Our parts inside other libraries. Each module needs its library, and says so when it is used."""

__all__: list[str] = []
