"""A session as Markdown."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_it import MarkdownIt

from bridge.core.export import heading, turn_text
from bridge.core.items import Item, ItemKind
from bridge.core.records import Session, Turn
from bridge.errors import Problem


def shown(at: float) -> str:
    """A time as tests write it."""
    return f"t{at:g}"


def exported(*items: Item, **turn: Any) -> str:
    """One turn."""
    fields: dict[str, Any] = {"prompt": "Do it", "state": "completed", **turn}
    return turn_text(Turn(1, "s", 0, accepted_at=3.0, **fields), items, shown)


def item(kind: ItemKind, text: str = "", **data: Any) -> Item:
    """An item."""
    return Item("k", kind, 1, text, data)


def test_heading() -> None:
    session = Session("s", "/srv/a`b", "A title\nof two lines", "v2", "k-1", 1.0, 2.0)
    assert heading(session, shown) == (
        "# A title\n\n- Folder: `` /srv/a`b ``\n- Kiro: v2, conversation `k-1`\n- Made: t1\n- Changed: t2\n"
    )
    assert heading(Session("s", "/x", "", None, None, 1.0, 2.0), shown).startswith("# Conversation\n")


def test_a_whole_turn() -> None:
    assert exported(
        item("thought", "Hm.\n\nYes."),
        item("text", "I **will**."),
        item("tool", "a\nb\n", title="Running: ls", status="completed", input={"command": "ls"}),
        item("tool", "x", name="@coder/coder_report_task"),
        item("text", "Done", agent="helper"),
        item("plan", steps=[{"text": "one", "status": "completed"}, {"text": "two", "status": "running"}]),
        item("usage", credits=0.25, context_percent=12.0),
        item("notice", "Careful", level="warning"),
    ) == (
        "\n## t3\n\n**You**\n\nDo it\n\n**Kiro**\n\n> Thought: Hm.\n>\n> Yes.\n\nI **will**.\n\n"
        '**Tool** `Running: ls` (completed)\n\n```json\n{\n  "command": "ls"\n}\n```\n\n```\na\nb\n```\n\n'
        "*helper:*\n\nDone\n\n**Plan**\n\n- [x] one\n- [~] two\n\n*0.25 credits, 12 % of the context*\n\n"
        "> Note: Careful\n"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"answer": "a1", "status": "answered"}, "**Approval** `Run it`: Allow once"),
        ({"answer": "other", "status": "answered"}, "**Approval** `Run it`: other"),
        ({"answer": None, "status": "expired"}, "**Approval** `Run it`: expired"),
        ({"answer": "a1", "question": True}, "**Question** `Run it`: Allow once"),
        ({"options": "broken", "answer": None, "status": "pending"}, "**Approval** `Run it`: pending"),
    ],
)
def test_approvals(data: dict[str, Any], said: str) -> None:
    options = [{"id": "a1", "label": "Allow once", "kind": "allow_once"}]
    text = exported(item("approval", "rm -rf /", title="Run it", **{"options": options, **data}))
    assert f"{said}\n\n```\nrm -rf /\n```\n" in text


def test_how_it_ended() -> None:
    problem = Problem("x", "It broke.", "Mend it.")
    assert exported(state="failed", problem=problem).endswith("**Kiro**\n\n*[Failed] It broke. Mend it.*\n")
    assert exported(state="cancelled", prompt="").startswith("\n## t3\n\n**Kiro**\n\n*[Stopped]*")


@pytest.mark.parametrize("output", ["```\nout\n```", "````", "`" * 50, "", "\n\n", "<script>alert(1)</script>"])
def test_output_never_leaves_its_block(output: str) -> None:
    text = exported(item("tool", output, title="x", status="completed"), item("text", "after"))
    blocks = [token for token in MarkdownIt().parse(text) if token.type == "fence"]
    assert [block.content.strip("\n") for block in blocks] == ([output.strip("\n")] if output else [])
    assert "<p>after</p>" in MarkdownIt().render(text)


def test_odd_data_is_no_error() -> None:
    odd = item("tool", "x", title=None, input={"a": object()}, status=None)
    assert "**Tool** `tool`" in exported(odd, item("plan", steps="no list"), item("usage", credits="many"))
