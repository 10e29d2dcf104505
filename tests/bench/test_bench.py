"""The benchmarks run, and docs/performance.md holds what they print. How fast anything is, is not tested here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import processes, rows, table
from bench.figures import Results, quantile

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "performance.md"
needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc")

OVER_BOTH = ("accept", "begun", "live", "write", "stable", "idle", "quiet", "rss", "pss", "second")
QUICKLY_MEASURED = {
    *((rows.BRIDGE, key) for key in OVER_BOTH),
    *((rows.HEADLESS, key) for key in OVER_BOTH),
    *((rows.BRIDGE, key) for key in ("status", "cold", "crowd1", "lost1", "load1")),
    *((rows.BRIDGE, key) for key in ("v1poll1", "v1new1", "v2poll1", "v2new1", "growth")),
    *((rows.BRIDGE, key) for key in ("start100", "state100", "page100", "resume100", "message100", "replay100")),
    *((rows.BRIDGE, key) for key in ("sessions100", "rare100", "common100")),
    *((rows.FLOOR, key) for key in ("floor", "floor_rss")),
}


@needs_proc
def test_a_few_samples_of_everything_can_be_taken() -> None:
    """Both halves at once: most of either is waiting."""
    env = {name: value for name, value in os.environ.items() if name != "AGENTAPI_BIN"}
    command = [sys.executable, "-m", "bench", "--quick", "--only"]
    halves = [
        subprocess.Popen([*command, half], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for half in ("servers", "alone")
    ]
    cells: dict[str, str] = {}
    for half in halves:
        out, errors = half.communicate(timeout=150)
        assert half.returncode == 0, errors
        assert "alone: AGENTAPI_BIN names no AgentAPI" in out
        found = {line.split(" | ")[0][2:]: line.split(" | ")[2] for line in out.split("\n") if line[:2] == "| "}
        cells |= {title: cell for title, cell in found.items() if cell != "-"}
    assert {(row.ours, row.key) for row in rows.ROWS if row.title in cells} == QUICKLY_MEASURED
    assert cells["1 client: words lost"] == "0"


def test_the_page_has_every_row_and_no_other() -> None:
    page = DOCUMENT.read_text("utf-8").split(table.BEGIN)[1].split(table.END)[0]
    titles = [line.split(" | ")[0][2:] for line in page.split("\n") if line.startswith("| ")]
    assert titles == ["row", "---", *(row.title for row in rows.ROWS)]
    assert table.meanings() in page


def test_keys_and_titles_are_unique() -> None:
    assert len({(row.ours, row.key) for row in rows.ROWS}) == len({row.title for row in rows.ROWS}) == len(rows.ROWS)


def test_a_table_compares_medians_and_judges_the_tail() -> None:
    results = Results()
    results.add(rows.BRIDGE, "accept", *[2.0] * 18, 24.0, 26.0)
    results.add(rows.HEADLESS, "accept", 4.0, 4.0, 4.0)
    results.add(rows.AGENTAPI, "accept", 1000.0, 1000.0, 1000.0)

    def accepted() -> list[str]:
        return [line for line in table.table(results).split("\n") if line.startswith("| prompt accepted,")]

    assert accepted() == [
        "| prompt accepted, ACP | ms | 2.00 | 24.0 | 1000 | 1000 | 500x | p95 <= 25 | met |",
        "| prompt accepted, headless | ms | 4.00 | 4.00 | 1000 | 1000 | 250x | p95 <= 25 | met |",
    ]
    results.add(rows.BRIDGE, "accept", 26.0)
    assert "| missed |" in accepted()[0]


def test_what_the_transport_makes_a_difference_to_is_measured_over_both() -> None:
    over = {who: {row.key for row in rows.ROWS if row.ours == who} for who in (rows.BRIDGE, rows.HEADLESS)}
    assert over[rows.HEADLESS] == set(OVER_BOTH) < over[rows.BRIDGE]


def test_the_master_loads_nothing_of_the_application() -> None:
    """It would hold all of it a second time; the limit on memory counts it."""
    code = (
        "import sys, bridge.cli, bridge.settings, bridge.web.server\n"
        "print(sorted({'bridge.web.assembly', 'bridge.engine', 'bridge.kiro', 'flask', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize(("share", "found"), [(0.5, 2.0), (0.95, 3.0), (0.0, 1.0)])
def test_quantiles_are_samples(share: float, found: float) -> None:
    assert quantile([3.0, 1.0, 2.0], share) == found
    assert str(quantile([], share)) == "nan"


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = table.written(f"before\n{table.BEGIN}\nold\n{table.END}\nafter", "new")
    assert page == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter"
    with pytest.raises(ValueError, match="must hold the markers"):
        table.written("no markers", "new")


@needs_proc
def test_processes_are_found_with_their_cost() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert child.pid in processes.family(os.getpid())
            rss, pss = processes.memory([os.getpid()])
            assert rss >= pss > 1
            assert processes.cpu_seconds([os.getpid()]) > 0
        finally:
            child.kill()
