"""Running scores of classes, of numbers and of labels."""

__all__: list[str] = []
