"""Which recorded prompt is ours."""

from __future__ import annotations

from bridge.core.text import squeezed

_PART_LENGTH = 400
_WHOLE_LENGTH = 40
"""Characters without white space: shorter texts are found inside others by chance."""


class PromptMatch:
    """Tells our prompt among recorded ones, white space apart."""

    def __init__(self, prompt: str) -> None:
        self._ours = squeezed(prompt)
        self.rewritten_by_kiro = prompt.lstrip()[:1] in ("/", "@")
        """Whether Kiro puts a text of its own in place of the prompt, as it does for commands and MCP prompts."""

    def matches(self, recorded: str) -> bool:
        """Return whether `recorded` is our prompt: the same, a long beginning of it, or it with more around it."""
        if not self._ours:
            return not recorded.strip()
        theirs = squeezed(recorded)
        cut = len(theirs) >= _PART_LENGTH and self._ours.startswith(theirs)
        wrapped = len(self._ours) >= _WHOLE_LENGTH and self._ours in theirs
        return cut or wrapped or self._ours == theirs
