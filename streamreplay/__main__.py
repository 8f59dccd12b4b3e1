"""``python -m streamreplay``."""

from streamreplay.commands import main

if __name__ == "__main__":
    main()
