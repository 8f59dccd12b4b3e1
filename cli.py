"""The command line from a checkout: ``python cli.py run job.toml``."""

from streamreplay.commands import main

if __name__ == "__main__":
    main()
