"""Our parts for use inside other libraries. Importing a module requires its library."""

__all__: list[str] = []
