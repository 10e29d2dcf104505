"""Which release the stand-in plays, and how that release differs from the others.

Invariant: every difference between releases is a property here, decided by the release number and nothing else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

#: Short names for the releases the tests play (facts/kiro-cli.md 0.2).
KNOWN = {"1.28": "1.28.0", "2.5": "2.5.1", "2.19": "2.19.2", "2.28": "2.28.0", "3.0": "3.0.0"}
DEFAULT = "2.28.0"


@dataclass(frozen=True)
class Personality:
    """One release of kiro-cli, `version` as three whole numbers."""

    version: tuple[int, int, int]

    @property
    def label(self) -> str:
        """The release as `2.28.0`."""
        return ".".join(str(part) for part in self.version)

    @property
    def engine_values(self) -> tuple[str, ...]:
        """Values of `--agent-engine`, in the order of the help text (facts/kiro-stores.md D.1); none before 2.3."""
        if self.version < (2, 3, 0):
            return ()
        if self.version < (2, 4, 0):
            return ("rust", "kas")
        return ("v2", "v1", "kas") if self.version < (2, 8, 0) else ("v2", "v1", "v3")

    @property
    def mode_values(self) -> tuple[str, ...]:
        """Values of `--mode` (facts/kiro-stores.md D.1)."""
        return ("vibe", "spec") if self.version < (2, 8, 0) else ("default", "spec")

    @property
    def headless_engine(self) -> str:
        """Engine of a headless run that names none: v1 before 2.28, v2 from then on (facts/kiro-cli.md 0.2, 4.3)."""
        return "v1" if self.version < (2, 28, 0) else "v2"

    @property
    def reports_reasoning(self) -> bool:
        """Whether `metadata` lines carry `reasoning` (facts/kiro-stores.md A.3)."""
        return self.version >= (2, 27, 0)

    @property
    def reports_focus_status(self) -> bool:
        """Whether v3 streams `focus_update` with a status and activity (facts/kiro-stores.md A.5)."""
        return self.version >= (2, 27, 0)

    @property
    def v3_refuses_trust(self) -> bool:
        """Whether headless v3 refuses `-a` and `--trust-tools` (facts/kiro-stores.md A.9 row 2)."""
        return self.version < (2, 27, 0)

    @property
    def v2_ignores_model(self) -> bool:
        """Whether headless v2 cannot set `--model` and says so (facts/kiro-cli.md 5.8: 2.7 to 2.21)."""
        return (2, 7, 0) <= self.version < (2, 22, 0)

    @property
    def unknown_resume_fails(self) -> bool:
        """Whether v2 fails on an unknown `--resume-id` instead of starting afresh (facts/kiro-stores.md A.8)."""
        return self.version >= (2, 21, 0)

    @property
    def unknown_agent_fails(self) -> bool:
        """Whether an unknown `--agent` ends with exit 4 on v2 and v3 (facts/kiro-cli.md 5.3, "newer docs": 3.x is
        [L])."""
        return self.version >= (3, 0, 0)

    @property
    def lists_sessions_as_json(self) -> bool:
        """Whether `--format` covers `--list-sessions` (facts/kiro-stores.md D.1)."""
        return self.version >= (2, 8, 0)

    @property
    def lists_sessions_on_stderr(self) -> bool:
        """Whether the plain session list goes to stderr (facts/kiro-cli.md 5.1, seen at 2.5.1)."""
        return self.version < (2, 8, 0)

    @property
    def hangs_when_logged_out(self) -> bool:
        """Whether a logged-out chat shows a device code and waits (facts/kiro-cli.md 10 for 2.4.2 and 2.19,
        facts/kiro-stores.md A.8 for 2.29) instead of ending with an error (facts/kiro-cli.md 14 no. 20)."""
        return self.version >= (2, 4, 0)

    @property
    def acp_engine_values(self) -> tuple[str, ...]:
        """Values of `acp --agent-engine`, in the order of facts/kiro-cli.md 6.1; as for chat there is none before
        2.3."""
        return () if self.version < (2, 3, 0) else ("v1", "v2", "v3")

    @property
    def answers_for_itself(self) -> bool:
        """Whether `acp` has `--auth-method` (facts/kiro-cli.md 6.1; no run up to 2.19.1 used it, facts/kiro-wire.md
        9: the first release is [L])."""
        return self.version >= (2, 20, 0)

    @property
    def acp_auth_capability(self) -> bool:
        """Whether v2's initialize result has `auth` (facts/kiro-wire.md 1)."""
        return self.version >= (2, 5, 0)

    @property
    def names_tools(self) -> bool:
        """Whether v2's tool_call has `_meta.kiro.toolName` (facts/kiro-wire.md 4)."""
        return self.version >= (2, 11, 0)

    @property
    def metadata_per_model_call(self) -> bool:
        """Whether v2 sends a metadata after each model call (facts/kiro-wire.md 3)."""
        return self.version >= (2, 16, 0)

    @property
    def loop_fields(self) -> bool:
        """Whether v2's sub-agent list has loop fields and model changes name the context's size (facts/kiro-wire.md
        6, 7)."""
        return self.version >= (2, 18, 0)

    @property
    def saves_model(self) -> bool:
        """Whether `/model` outlives the session (facts/kiro-wire.md 6)."""
        return (2, 6, 1) <= self.version < (2, 15, 0)

    @property
    def model_count(self) -> int:
        """How many models v2 lists (facts/kiro-wire.md 2)."""
        steps = (((2, 14, 1), 19), ((2, 12, 0), 18), ((2, 9, 0), 15), ((2, 5, 0), 14), ((2, 3, 0), 13))
        return next((count for since, count in steps if self.version >= since), 12)

    @property
    def marks_replay(self) -> bool:
        """Whether v3 marks what it replays and tells of workflows (facts/kiro-wire.md 10, 16)."""
        return self.version >= (2, 16, 0)

    @property
    def message_ids_on_chunks(self) -> bool:
        """Whether v3's chunks carry `replayId` (facts/kiro-wire.md 11)."""
        return self.version >= (2, 16, 2)

    @property
    def message_ids_on_turns(self) -> bool:
        """Whether v3's turn_start and turn_end carry `messageId` (facts/kiro-wire.md 11)."""
        return self.version >= (2, 19, 0)

    @property
    def names_resources(self) -> bool:
        """Whether v3's modes carry `resource` (in every recording from 2.19.0 on, in none before)."""
        return self.version >= (2, 19, 0)

    @property
    def ancestor_rows(self) -> bool:
        """Whether v1 rows keep the open-source ancestor's `orig_args` and chunk times (facts/kiro-cli.md 14,
        facts/kiro-stores.md C: gone from Kiro's own rows of 2.1x)."""
        return self.version < (2, 0, 0)


def current() -> Personality:
    """The release named by KIRO_STANDIN_VERSION, `2.28.0` without it. Raises ValueError on a name that is no
    release."""
    asked = os.environ.get("KIRO_STANDIN_VERSION") or DEFAULT
    parts = KNOWN.get(asked, asked).split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise ValueError(
            f"KIRO_STANDIN_VERSION is {asked!r}, which is no release. "
            f"Use one of {', '.join(KNOWN)}, or three numbers like {DEFAULT}."
        )
    return Personality((int(parts[0]), int(parts[1]), int(parts[2])))
