"""Write the tables of the module's inputs and outputs into a page: `python -m tools.module_tables PAGE...`.

Invariant: the tables are made from variables.tf and outputs.tf alone, so they always say what the module takes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- module: begin, written by `make docs` -->"
END = "<!-- module: end -->"


def main(arguments: list[str]) -> int:
    """Rewrite the pages that the arguments name; return an exit code."""
    if not arguments:
        print("usage: python -m tools.module_tables PAGE...", file=sys.stderr)
        return 2
    for page in map(Path, arguments):
        page.write_text(documented(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def documented(page: str) -> str:
    """Return the page with the text between its markers written anew.

    Raises `ValueError` when the page has not exactly one pair of markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the page must hold the markers {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return the Markdown tables of the inputs and of the outputs, each in the order of the alphabet."""
    inputs = "".join(input_row(name, block) for name, block in blocks("variables.tf", "variable"))
    outputs = "".join(row(f"`{name}`", text(block["description"])) for name, block in blocks("outputs.tf", "output"))
    return (
        f"## Inputs\n\n{row('Input', 'Type', 'Default', 'Meaning')}{row('---', '---', '---', '---')}{inputs}\n"
        f"## Outputs\n\n{row('Output', 'Meaning')}{row('---', '---')}{outputs}"
    )


def blocks(file: str, kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return name and content of every block of a kind in a file of the module."""
    with open(ROOT / file, encoding="utf-8") as opened:
        found = hcl2.load(opened)[kind]
    return sorted((text(name), content) for block in found for name, content in block.items())


def input_row(name: str, block: Mapping[str, Any]) -> str:
    """Return the line of an input."""
    default = f"`{literal(block['default'])}`" if "default" in block else "**needed**"
    if "<<-" in default:
        default = f"[a text](#default-{name.replace('_', '-')})"
    meaning = text(block["description"]) + (" Sensitive." if block.get("sensitive") else "")
    return row(f"`{name}`", f"`{text(block['type'])}`", default, meaning)


def literal(value: Any) -> str:
    """Return a default as one writes it in Terraform."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def text(value: str) -> str:
    """Return a string of the parser without the quotes or braces it keeps around it."""
    for begin, end in (('"', '"'), ("${", "}")):
        if value.startswith(begin) and value.endswith(end):
            value = value[len(begin) : -len(end)]
    return value.replace('\\"', '"')


def row(*cells: str) -> str:
    """Return a line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
