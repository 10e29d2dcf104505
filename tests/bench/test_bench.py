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

QUICKLY_MEASURED = {
    *("accept", "begun", "write", "live", "stable", "status", "idle", "quiet", "rss", "pss", "cold"),
    *("crowd1", "lost1", "load1", "v1poll1", "v1new1", "v2poll1", "v2new1"),
    *("start100", "state100", "page100", "resume100", "message100", "replay100", "growth"),
}


@needs_proc
def test_a_few_samples_of_everything_can_be_taken() -> None:
    env = {name: value for name, value in os.environ.items() if name != "AGENTAPI_BIN"}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    cells = {line.split(" | ")[0][2:]: line.split(" | ")[2] for line in done.stdout.split("\n") if line[:2] == "| "}
    measured = {row.key for row in rows.ROWS if cells[row.title] != "-"}
    assert measured == QUICKLY_MEASURED
    assert cells["1 client: words lost"] == "0"
    assert "alone" in done.stdout


def test_the_page_has_every_row_and_no_other() -> None:
    page = DOCUMENT.read_text("utf-8").split(table.BEGIN)[1].split(table.END)[0]
    titles = [line.split(" | ")[0][2:] for line in page.split("\n") if line.startswith("| ")]
    assert titles == ["row", "---", *(row.title for row in rows.ROWS)]
    assert table.meanings() in page


def test_keys_and_titles_are_unique() -> None:
    assert len({row.key for row in rows.ROWS}) == len({row.title for row in rows.ROWS}) == len(rows.ROWS)


def test_a_table_compares_medians_and_judges_the_tail() -> None:
    results = Results()
    results.add(table.BRIDGE, "accept", *[2.0] * 18, 24.0, 26.0)
    results.add(table.AGENTAPI, "accept", 1000.0, 1000.0, 1000.0)
    [line] = [line for line in table.table(results).split("\n") if line.startswith("| prompt accepted |")]
    assert line == "| prompt accepted | ms | 2.00 | 24.0 | 1000 | 1000 | 500x | p95 <= 25 | met |"
    results.add(table.BRIDGE, "accept", 26.0)
    assert "| missed |" in table.table(results)


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
