"""Write the tables of settings into a page of the documentation: `python -m bridge.settings PAGE`."""

from __future__ import annotations

import sys
from pathlib import Path

from bridge.settings.reference import documented


def main(arguments: list[str]) -> int:
    """Rewrite the page named by the only argument; return an exit code."""
    if len(arguments) != 1:
        print("usage: python -m bridge.settings PAGE", file=sys.stderr)
        return 2
    page = Path(arguments[0])
    page.write_text(documented(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
