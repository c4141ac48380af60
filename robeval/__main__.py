"""`robeval`, and `python -m robeval`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C during its imports ends like Ctrl-C later."""
    try:
        from robeval.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
