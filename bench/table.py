"""Results as one Markdown table, and its place in docs/performance.md."""

from __future__ import annotations

import math
from pathlib import Path

from bench.figures import Figures, Results
from bench.rows import AGENTAPI, ROWS, Row

BEGIN = "<!-- table: written by python -m bench --write -->"
END = "<!-- end of table -->"


def table(results: Results) -> str:
    """Return the table of all rows, those not measured with a dash."""
    head = ["row", "unit", "bridge median", "p95", "AgentAPI median", "p95", "AgentAPI / bridge", "target", ""]
    lines = [head, ["---", "---", *["---:"] * 6, "---"], *(_line(row, results) for row in ROWS)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def meanings() -> str:
    """Return what each row means, as a Markdown list; neighbours that mean the same stand together."""
    found: dict[str, list[str]] = {}
    for row in ROWS:
        found.setdefault(row.meaning, []).append(row.title)
    return "\n".join(f"- **{'; '.join(titles)}**: {meaning}" for meaning, titles in found.items())


def written(page: str, results: str) -> str:
    """Return `page` with the text between its markers replaced. Raises ValueError unless it has one pair of them."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"The page must hold the markers once each, in this order:\n{BEGIN}\n{END}")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{results}\n\n{END}{rest.split(END)[1]}"


def write(path: Path, results: str) -> None:
    """Replace the text between the markers of a page."""
    path.write_text(written(path.read_text("utf-8"), results), "utf-8")


def _line(row: Row, results: Results) -> list[str]:
    ours, theirs = results.of(row.ours, row.key), results.of(AGENTAPI, row.key)
    ratio = theirs.median / ours.median if ours.median else math.nan
    target = "" if row.target is None else f"{_tail_name(row)}<= {row.target:g}"
    return [
        row.title, row.unit, *_cells(row, ours), *_cells(row, theirs),
        "-" if math.isnan(ratio) else f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.0f}x", target, _verdict(row, ours),
    ]  # fmt: skip


def _cells(row: Row, figures: Figures) -> tuple[str, str]:
    if not figures.samples:
        return "-", "-"
    tail = figures.tail(row.share)
    shown = _number(tail) + (" (p99)" if row.share == 0.99 else "")
    return _number(figures.median), shown if len(figures.samples) > 2 else "-"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _tail_name(row: Row) -> str:
    return f"p{row.share * 100:.0f} " if row.unit == "ms" else ""


def _verdict(row: Row, ours: Figures) -> str:
    if row.target is None or not ours.samples:
        return ""
    return "met" if ours.tail(row.share) <= row.target else "missed"
