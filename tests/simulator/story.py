"""What happened, line by line, for a person; the same bytes for the same seed."""

from __future__ import annotations

from typing import Any

WIDTH = 220


class Story:
    """Lines of one world; `lines` grows."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, at_ms: int, what: str, fields: dict[str, Any]) -> None:
        """Add one line."""
        words = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        self.lines.append(f"{at_ms / 1000:10.3f}  {what:<22} {words}"[:WIDTH])

    def text(self) -> str:
        """The whole story."""
        return "\n".join(self.lines)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)
