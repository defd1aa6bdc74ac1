"""
The exception tree.

```
HeanError
├── ConfigError          wrong or missing setting; says which source supplied it
├── LocalError           we or the strategy broke a rule; nothing was sent
│   ├── IllegalTransition    a fact the state has no cell for; nothing changed
│   └── RouterStopped        the router is stopped or was never started
├── RemoteError          the exchange answered no: ret_code, ret_msg, hint
│   ├── OrderRejected        an order or a setting was refused
│   ├── RateLimited          refused for frequency; reset_ms says until when
│   └── AuthRefused          key, permission, account or region
├── OutcomeUnknown       sent, no verdict: query by order_link_id, never resend blind
└── JournalError         the journal cannot be opened, read or written
    ├── JournalLocked        another router owns this journal
    ├── JournalBusy          another program is writing; the same call may succeed later
    ├── JournalFull          no space is left
    └── JournalCorrupt       the file is damaged, or is not a journal
```

Expected noes are values and events, not exceptions: a denied signal is a ticket in state DENIED. These cross the
public API for misuse and at wiring only.
"""

from __future__ import annotations


class HeanError(Exception):
    """Everything hean raises on purpose."""


class ConfigError(HeanError):
    """A setting is wrong or missing; the message names the setting, its source and what was expected."""


class LocalError(HeanError):
    """We or the strategy broke a rule; nothing was sent."""


class IllegalTransition(LocalError):
    """A machine got a fact that its state has no cell for; nothing changed."""


class RouterStopped(LocalError):
    """The router is stopped, or was never started; nothing was sent."""


class RemoteError(HeanError):
    """
    The exchange answered no.

    Attributes:
        ret_code: Bybit's code, or the HTTP status where no code came.
        ret_msg: the message on the wire.
        hint: what to do about it.
    """

    def __init__(self, message: str, *, ret_code: int | None = None, ret_msg: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.ret_code = ret_code
        self.ret_msg = ret_msg
        self.hint = hint


class OrderRejected(RemoteError):
    """An order or a setting was refused by the exchange."""


class RateLimited(RemoteError):
    """
    Refused for frequency; not executed.

    Attributes:
        reset_ms: exchange time at which the window opens again, or None where no header told.
    """

    def __init__(self, message: str, *, reset_ms: int | None = None, **details: object) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.reset_ms = reset_ms


class AuthRefused(RemoteError):
    """Key, permission, account or region: nothing will pass until a person acts."""


class OutcomeUnknown(HeanError):
    """Sent, no verdict: query by order_link_id, never resend blind."""


class JournalError(HeanError):
    """The journal cannot be opened, read or written; nothing was remembered, so nothing may be sent."""


class JournalLocked(JournalError):
    """Another router owns this journal."""


class JournalBusy(JournalError):
    """Another program is writing to the journal; nothing was remembered, the same call may succeed later."""


class JournalFull(JournalError):
    """No space is left for the journal; nothing was remembered, so nothing may be sent."""


class JournalCorrupt(JournalError):
    """The journal's file is damaged, or is not a journal; a person must look at it."""
