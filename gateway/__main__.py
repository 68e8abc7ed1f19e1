"""The command `gateway`, also as `python -m gateway`."""

import sys

from gateway.runtime.errors import INTERRUPTED


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback, also while its modules are imported."""
    try:
        from gateway.cli.main import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
