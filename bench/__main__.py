"""``python -m bench`` is the same as ``bench``."""

import sys


def main() -> int:
    """Run the command line; Ctrl-C ends it without a traceback while its modules are still imported, too."""
    try:
        from bench.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("\nbench: interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
