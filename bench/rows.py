"""Every row of the table, once: what it is called, what its figure means, what it should be."""

from __future__ import annotations

from dataclasses import dataclass, replace

BRIDGE = "bridge"
HEADLESS = "bridge, headless"
AGENTAPI = "agentapi"
FLOOR = "floor"


@dataclass(frozen=True)
class Row:
    """One row. `target` is the highest good value of the quantile `share`, in `unit`; None where none was set.

    `ours` names whose figures stand on our side: those of the bridge over ACP, of the bridge that runs headless, or of
    the floor that no Python server gets below.
    """

    key: str
    title: str
    unit: str
    meaning: str
    target: float | None = None
    share: float = 0.95
    ours: str = BRIDGE


def _both(row: Row, over_acp: str, headless: str) -> tuple[Row, Row]:
    """Return a row that depends on the transport, once for each; the texts say what is special about it there."""
    return (
        replace(row, title=f"{row.title}, ACP", meaning=f"{row.meaning} {over_acp}".rstrip()),
        replace(row, title=f"{row.title}, headless", meaning=f"{row.meaning} {headless}".rstrip(), ours=HEADLESS),
    )


_CROWD = "That many clients follow `/events` of one turn that says ten words a second."

COMPARED = (
    *_both(Row("accept", "prompt accepted", "ms", "`POST /message` on an open connection, sent to whole reply. Ours "
               "comes after the prompt is safe on disk; AgentAPI's after it has seen its typing on the screen.", 25),
           "", ""),
    *_both(Row("begun", "prompt to first word", "ms", "From sending the prompt to the agent's first word on "
               "`/events`. Most of ours is the pace of that feed: the word comes 20 ms after the prompt's own event."),
           "The agent runs already, as AgentAPI's does; in the first turn after a start of the bridge it is started.",
           "The start of the agent's process is in it; AgentAPI's agent runs already."),
    *_both(Row("live", "live word to event", "ms", "From telling the agent to speak to the word on `/events`."),
           "The agent says it on its ACP connection; AgentAPI's on its terminal.",
           "The agent says it in its stream; AgentAPI's on its terminal."),
    *_both(Row("write", "agent's write to event", "ms", "The same for a word that the agent writes to Kiro's store and "
               "says nowhere else (AgentAPI has one way only, so its figure is of the same kind as in the rows above).",
               20), "", ""),
    *_both(Row("stable", "agent's end to `stable`", "ms", "From telling the agent to finish to `stable` on `/events`.",
               30),
           "Ours holds the agent's last write and its answer to the prompt.",
           "Ours holds the agent's last writes and the end of its process, up to 2 ms."),
    *_both(Row("idle", "idle CPU", "% of a core", "All server processes over seconds in which nobody asks anything; "
               "without the agent.", 0.3), "The agent waits for the next prompt.", "No agent runs."),
    *_both(Row("quiet", "CPU of a quiet turn", "% of a core", "The same while a turn runs in which the agent says "
               "nothing."), "", ""),
    *_both(Row("rss", "memory, RSS", "MB", "Resident size of all server processes after the turns, shared pages "
               "counted in each; without the agent.", 80),
           "Taken after the many clients, as AgentAPI's is. Kiro's own process stays between prompts and comes on top.",
           "Kiro's own process comes on top while a turn runs."),
    *_both(Row("pss", "memory, PSS", "MB", "The same with shared pages divided among those who share them: what the "
               "machine really gives."), "", ""),
    Row("status", "`/status` under load", "ms", "`GET /status` on an open connection, 50 a second, during a turn of 20 "
        "words a second with 100 clients on `/events`. The tail is p99.", 10, 0.99),
    Row("cold", "cold start", "ms", "From the start of the command to the first 200 of `/status`; an empty home.", 800),
    *(
        row
        for n, who, target in ((1, "1 client", None), (100, "100 clients", None), (300, "300 clients", 150.0))
        for row in (
            Row(f"crowd{n}", f"{who}: delivery", "ms", _CROWD + " From telling the agent to each client having the "
                "word; the tail is p99.", target, 0.99),
            Row(f"lost{n}", f"{who}: words lost", "", "Words that some client did not get.", 0),
            Row(f"load{n}", f"{who}: CPU", "% of a core", "All server processes meanwhile."),
        )
    ),
)  # fmt: skip

ALONE = (
    *(Row(f"v1poll{n}", f"v1 row of {n} MB: poll", "ms", "A look at a database that has not changed.")
      for n in (1, 5, 20)),
    *(Row(f"v1new{n}", f"v1 row of {n} MB: new entry", "ms", "A look after Kiro has rewritten the row with one more "
          "entry: SQLite reads the value, and what is new of it is parsed.", target)
      for n, target in ((1, None), (5, None), (20, 60.0))),
    *(Row(f"v2poll{n}", f"v2 file of {n} MB: poll", "ms", "A look at a file that has not changed.")
      for n in (1, 10, 100)),
    *(Row(f"v2new{n}", f"v2 file of {n} MB: new entry", "ms", "A look after one more line; the same at any size.")
      for n in (1, 10, 100)),
    *(
        row
        for n in (100, 10_000, 100_000)
        for row in (
            Row(f"start{n}", f"{n:,} items: cold start", "ms", "To the first 200 with a history of that length."),
            Row(f"state{n}", f"{n:,} items: cold start with a state file", "ms", "The same with AgentAPI's state file "
                "of that conversation, which has to be read to its end."),
            Row(f"page{n}", f"{n:,} items: last page", "ms", "`GET /api/v1/sessions/<id>/items?limit=100`."),
            Row(f"resume{n}", f"{n:,} items: resume", "ms", "`Last-Event-ID` 50 events back: until the last of them."),
            Row(f"message{n}", f"{n:,} items: `/messages`", "ms", "AgentAPI's whole list, which has no pages."),
            Row(f"replay{n}", f"{n:,} items: `/events`", "ms", "AgentAPI's whole replay, until its status event."),
        )
    ),
    *(Row(f"sessions{n}", f"{n:,} sessions: list", "ms", "`GET /api/v1/sessions`: all of them, with their last lines.")
      for n in (100, 1_000)),
    *(
        row
        for n in (100, 100_000)
        for row in (
            Row(f"rare{n}", f"{n:,} items: search for a rare word", "ms", "`GET /api/v1/search` for a word that stands "
                "in one item of a hundred."),
            Row(f"common{n}", f"{n:,} items: search for a common word", "ms", "The same for two words that stand in "
                "every item."),
        )
    ),
    *_both(Row("second", "second prompt to first word", "ms", "With the stand-in for kiro-cli of this project as the "
               "agent on both sides, which takes two seconds to start, as a Python program with a sleep: from sending "
               "the second prompt of a session to the first word of its answer on `/events`."),
           "The agent was started for the first prompt and kept.", "It is started for each prompt."),
    Row("floor", "an empty Flask app: cold start", "ms", "gunicorn with one worker, and Flask with one route: what no "
        "server made like this one gets below. These two rows are not the bridge's.", ours=FLOOR),
    Row("floor_rss", "an empty Flask app: memory, RSS", "MB", "The same: resident size of both processes.", ours=FLOOR),
    Row("growth", "ledger growth per turn", "KB", "Bytes of the ledger's files per turn, after closing, of turns with "
        "a prompt of 0.2 KB and an answer of 2 KB that came in 40 pieces."),
)  # fmt: skip

ROWS = (*COMPARED, *ALONE)
