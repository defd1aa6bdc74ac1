"""
From a machine's table: its folded picture, as mermaid and as markdown tables.

An order's chart has a few hundred edges; drawn one by one they are a blot. `fold` makes them legible without telling
anything that is not so:

- a cell that moves nothing is not drawn; the total table has it;
- edges of one source and one target are one arrow, labelled with its facts;
- a fact that moves every member of a group to the same state is part of one arrow from the group;
- arrows of one source to every member of a group are one arrow to the group: the fact decides which member;
- a fact that moves every state to the same one is told once, as a note at that one.

Pure and stable: the same table gives the same text. `core/drawing.py` draws the same fold as SVG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from attrs import field, frozen

from hean.core.chart import Edge, Table

LABEL_FACTS: Final = 3
"""Facts named on an arrow before the rest is only counted."""


class Way(StrEnum):
    """What an arrow is to a reader."""

    HAPPY = "happy"  # the life that goes as wished
    PLAIN = "plain"  # another normal end
    RECOVERY = "recovery"  # into, within or out of trouble, or back


@frozen(kw_only=True)
class Group:
    """
    States that share edges, drawn as a box round them.

    Attributes:
        name: unlike every state's.
        title: what the members have in common, a few words.
    """

    name: str
    title: str
    members: tuple[str, ...]


@frozen(kw_only=True)
class Machine:
    """
    A table and what a reader is told about it.

    Attributes:
        title: one line.
        states: what each state means.
        facts: what each fact stands for; each is a row of the total table, in this order.
        checks: what must hold for each fact to be taken; empty where there is nothing to say.
        happy: (before, after) of each edge of the life that goes as wished; always drawn on their own.
        trouble: states that are left by a recovery; edges at them are recovery edges.
        groups: states to draw together; they do not overlap.
        noted: (fact, after) to be told in a note, since its arrows would cross the page and tell little.
        places: centre of each state, and of each note under its name, on the SVG page, in pixels.
        symbols: step action -> its symbol in the total table; an action without one is named where it acts alone.
        accounted: facts that account a fill in every state, marked F where nothing moves.
        legend: symbol -> its meaning.
    """

    name: str
    title: str
    table: Table[Any]
    states: Mapping[str, str]
    facts: Mapping[str, str]
    checks: Mapping[str, str] = field(factory=dict)
    happy: tuple[tuple[str, str], ...]
    trouble: frozenset[str] = frozenset()
    groups: tuple[Group, ...] = ()
    noted: frozenset[tuple[str, str]] = frozenset()
    places: Mapping[str, tuple[int, int]] = field(factory=dict)
    symbols: Mapping[str, str] = field(factory=dict)
    accounted: frozenset[str] = frozenset()
    legend: Mapping[str, str] = field(factory=dict)

    def way_of(self, before: str, after: str) -> Way:
        """What an edge between two states is: happy where it is declared so, recovery at trouble or going back."""
        if (before, after) in self.happy:
            return Way.HAPPY
        order = self.table.states
        goes_back = order.index(after) < order.index(before)
        return Way.RECOVERY if goes_back or {before, after} & self.trouble else Way.PLAIN


@frozen(kw_only=True)
class Moved:
    """One fact that moved a machine."""

    before: str
    fact: str
    after: str


@frozen(kw_only=True)
class Arrow:
    """
    One arrow of the folded picture.

    Attributes:
        source: a state or a group.
        target: a state or a group.
        facts: in table order.
        moves: every (before, fact, after) that it stands for.
        steps: (number, fact) of each step of the highlighted path that took it; the first step is 1.
    """

    source: str
    target: str
    facts: tuple[str, ...]
    way: Way
    moves: frozenset[Moved]
    steps: tuple[tuple[int, str], ...] = ()

    @property
    def label(self) -> tuple[str, ...]:
        """Lines: the steps of the path where it was taken, else the first facts and how many more there are."""
        if self.steps:
            return tuple(f"{number}. {fact}" for number, fact in self.steps)
        rest = len(self.facts) - LABEL_FACTS
        return self.facts if rest <= 0 else (*self.facts[:LABEL_FACTS], f"+{rest}")


@frozen(kw_only=True)
class Note:
    """
    What leads to one state from too many others to be drawn.

    Attributes:
        causes: each fact, and from where it leads here.
    """

    target: str
    causes: tuple[tuple[str, str], ...]
    way: Way

    @property
    def name(self) -> str:
        """Of the note's own box, unlike every state's."""
        return f"to_{self.target}"

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(f"{fact}: from {origin}" for fact, origin in self.causes)


@frozen(kw_only=True)
class Folded:
    """
    A machine, ready to be drawn.

    Attributes:
        path: what is highlighted; empty for the machine alone.
    """

    machine: Machine
    arrows: tuple[Arrow, ...]
    notes: tuple[Note, ...]
    path: tuple[Moved, ...] = ()

    @property
    def visited(self) -> frozenset[str]:
        """States of the path."""
        return frozenset(state for move in self.path for state in (move.before, move.after))


def path_of(bodies: Iterable[Mapping[str, object]]) -> tuple[Moved, ...]:
    """
    The path that one machine took, from its fact records in the order of the journal.

    Args:
        bodies: of the records; one without `fact`, `before` and `after` is no fact of a machine and is passed over, and
            so is one that moved nothing.
    """
    path = []
    for body in bodies:
        before, fact, after = body.get("before"), body.get("fact"), body.get("after")
        if isinstance(before, str) and isinstance(fact, str) and isinstance(after, str) and before != after:
            path.append(Moved(before=before, fact=fact, after=after))
    return tuple(path)


def fold(machine: Machine, path: Sequence[Moved] = ()) -> Folded:
    """
    Fold the moving edges of `machine` to arrows and notes, and number the arrows that `path` took.

    A step of `path` that no arrow shows (one that a note tells, or a fact of an older chart) gets an arrow of its own;
    one of a state that is no more cannot be drawn, and stays in the path's text.
    """
    moves = {_moved(edge): None for edge in machine.table.edges if edge.moves}
    notes = _noted(machine, moves)
    told = {(fact, note.target) for note in notes for fact, _ in note.causes}
    left = [move for move in moves if (move.fact, move.after) not in told]
    bundles: dict[tuple[str, str], list[Moved]] = {}
    for move in left:
        if (move.before, move.after) in machine.happy:
            bundles.setdefault((move.before, move.after), []).append(move)
    drawn = {move for bundle in bundles.values() for move in bundle}
    for group in machine.groups:
        for after, lifted in _shared(group, left).items():
            if not drawn.issuperset(lifted):
                bundles.setdefault((group.name, after), []).extend(lifted)
                drawn.update(lifted)
    for move in left:
        if move not in drawn:
            bundles.setdefault((move.before, move.after), []).append(move)
    for group in machine.groups:
        _merge_into(group, machine, bundles)
    shown = {move for bundle in bundles.values() for move in bundle}
    known = set(machine.table.states)
    for move in dict.fromkeys(path):
        if move not in shown and {move.before, move.after} <= known:
            bundles.setdefault((move.before, move.after), []).append(move)
    arrows = [_arrow(machine, ends, bundle, path) for ends, bundle in bundles.items()]
    names = [*machine.table.states, *(group.name for group in machine.groups)]
    ways = list(Way)
    arrows.sort(key=lambda arrow: (ways.index(arrow.way), names.index(arrow.source), names.index(arrow.target)))
    return Folded(machine=machine, arrows=tuple(arrows), notes=notes, path=tuple(path))


def _moved(edge: Edge) -> Moved:
    return Moved(before=edge.before, fact=edge.fact, after=edge.after)


def _noted(machine: Machine, moves: Iterable[Moved]) -> tuple[Note, ...]:
    sources: dict[tuple[str, str], list[str]] = {}
    for move in moves:
        sources.setdefault((move.fact, move.after), []).append(move.before)
    states, finals = machine.table.states, machine.table.final_states
    spared = [state for state in states if state in finals]
    causes: dict[str, list[tuple[str, str]]] = {}
    for (fact, target), befores in sources.items():
        # Worth a note only where arrows would be many: each state of a small machine may as well be drawn.
        if len(befores) > LABEL_FACTS and set(befores) == set(states) - {target} - finals:
            origin = f"any state but {', '.join(spared)}" if spared else "any state"
        elif (fact, target) in machine.noted:
            origin = ", ".join(befores)
        else:
            continue
        causes.setdefault(target, []).append((fact, origin))
    return tuple(
        Note(target=target, causes=tuple(told), way=Way.RECOVERY if target in machine.trouble else Way.PLAIN)
        for target, told in causes.items()
    )


def _shared(group: Group, moves: Sequence[Moved]) -> dict[str, list[Moved]]:
    """By target outside `group`: the moves whose fact takes every member there."""
    members = set(group.members)
    out: dict[tuple[str, str], list[Moved]] = {}
    for move in moves:
        if move.before in members and move.after not in members:
            out.setdefault((move.fact, move.after), []).append(move)
    shared: dict[str, list[Moved]] = {}
    for (_, after), found in out.items():
        if {move.before for move in found} == members:
            shared.setdefault(after, []).extend(found)
    return shared


def _merge_into(group: Group, machine: Machine, bundles: dict[tuple[str, str], list[Moved]]) -> None:
    """Where one source reaches every member of `group`, one arrow to the group tells it: the fact decides which."""
    for source in dict.fromkeys(source for source, _ in bundles):
        ends = [(source, member) for member in group.members]
        if source not in group.members and all(pair in bundles and pair not in machine.happy for pair in ends):
            bundles[source, group.name] = [move for pair in ends for move in bundles.pop(pair)]


def _arrow(machine: Machine, ends: tuple[str, str], bundle: Sequence[Moved], path: Sequence[Moved]) -> Arrow:
    facts = {move.fact for move in bundle}
    way = Way.HAPPY
    if ends not in machine.happy:
        ways = {machine.way_of(move.before, move.after) for move in bundle} - {Way.HAPPY}
        way = Way.RECOVERY if ways == {Way.RECOVERY} else Way.PLAIN
    return Arrow(
        source=ends[0],
        target=ends[1],
        facts=tuple(fact for fact in machine.table.facts if fact in facts) or tuple(sorted(facts)),
        way=way,
        moves=frozenset(bundle),
        steps=_steps(machine, ends, bundle, path),
    )


def _steps(
    machine: Machine, ends: tuple[str, str], bundle: Sequence[Moved], path: Sequence[Moved]
) -> tuple[tuple[int, str], ...]:
    # A happy edge that a group's arrow also tells was taken on its own arrow.
    return tuple(
        (number, move.fact)
        for number, move in enumerate(path, 1)
        if move in bundle and ((move.before, move.after) == ends or (move.before, move.after) not in machine.happy)
    )


# Colours that hold on a white and on a dark page: filled states carry their own ink.
_STATE_CLASSES: Final = (
    "classDef happy fill:#d3f2dc,stroke:#1a7f37,color:#0b3d1a",
    "classDef plain fill:#e8ebef,stroke:#6e7781,color:#24292f",
    "classDef trouble fill:#ffe9c7,stroke:#bc6c00,color:#4d2d00",
    "classDef visited fill:#cfe4ff,stroke:#0969da,stroke-width:3px,color:#06264d",
    "classDef note fill:none,stroke:#8b949e,stroke-dasharray:2 3",
)
# With rounder curves mermaid sets the labels beside the lines, and upon each other.
_MERMAID_LAYOUT: Final = '%%{init: {"flowchart": {"curve": "monotoneY", "nodeSpacing": 30, "rankSpacing": 40}}}%%'
_LINES: Final = {Way.HAPPY: "==>", Way.PLAIN: "-->", Way.RECOVERY: "-.->"}
_STROKES: Final = {Way.HAPPY: "#1a7f37", Way.PLAIN: "#6e7781", Way.RECOVERY: "#bc6c00"}
TAKEN_STROKE: Final = "#0969da"


def role_of(machine: Machine, state: str) -> str:
    """How a state is coloured: "trouble", "happy" or "plain"."""
    if state in machine.trouble:
        return "trouble"
    return "happy" if any(state in pair for pair in machine.happy) else "plain"


def mermaid(folded: Folded) -> str:
    """
    The folded picture as a mermaid flowchart.

    A flowchart and not a `stateDiagram-v2`, since only a flowchart can tell kinds of arrows apart.
    """
    machine = folded.machine
    lines = [_MERMAID_LAYOUT, "flowchart TB"]
    lines += [f"  {line}" for line in _STATE_CLASSES]
    lines.append('  start(("start")):::note')
    lines += [f"  {_node(folded, state)}" for state in machine.table.states]
    lines += [f'  {group.name}{{{{"{group.title}"}}}}:::note' for group in machine.groups]
    lines.append(f"  start --> {machine.table.initial}")
    strokes: dict[str, list[str]] = {}
    # The life as wished comes last: mermaid's layout then keeps it straight and the page narrow.
    arrows = folded.arrows[::-1]
    for number, arrow in enumerate(arrows, 1):
        label = "<br/>".join(arrow.label)
        lines.append(f'  {arrow.source} {_LINES[arrow.way]}|"{label}"| {arrow.target}')
        stroke = f"stroke:{TAKEN_STROKE},stroke-width:4px" if arrow.steps else f"stroke:{_STROKES[arrow.way]}"
        strokes.setdefault(stroke, []).append(str(number))
    # So do the lines from the members to their group, and the notes.
    threads = [(member, group.name) for group in machine.groups for member in group.members]
    lines += [f"  {member} --- {name}" for member, name in threads]
    for number, note in enumerate(folded.notes, len(arrows) + len(threads) + 1):
        lines.append(f'  {note.name}["{"<br/>".join(note.lines)}"]:::note')
        lines.append(f"  {note.name} {_LINES[note.way]} {note.target}")
        strokes.setdefault(f"stroke:{_STROKES[note.way]}", []).append(str(number))
    if threads:
        numbers = range(len(arrows) + 1, len(arrows) + len(threads) + 1)
        strokes["stroke:#8b949e,stroke-width:1px,stroke-dasharray:2 3"] = [str(number) for number in numbers]
    lines += [f"  linkStyle {','.join(numbers)} {stroke}" for stroke, numbers in strokes.items()]
    return "\n".join(lines) + "\n"


def _node(folded: Folded, state: str) -> str:
    role = "visited" if state in folded.visited else role_of(folded.machine, state)
    shape = f'(["{state}"])' if state in folded.machine.table.final_states else f'["{state}"]'
    return f"{state}{shape}:::{role}"


def states_table(machine: Machine) -> str:
    """A markdown table: each state and what it means."""
    rows = [f"| `{state}` | {_escaped(machine.states[state])} |" for state in machine.table.states]
    return "\n".join(["| state | means |", "| --- | --- |", *rows]) + "\n"


def facts_table(machine: Machine) -> str:
    """A markdown table: each fact, what triggers it, and what must hold for it to be taken."""
    rows = [
        f"| `{fact}` | {_escaped(text)} | {_escaped(machine.checks[fact])} |" for fact, text in machine.facts.items()
    ]
    return "\n".join(["| fact | trigger | taken when |", "| --- | --- | --- |", *rows]) + "\n"


def total_table(machine: Machine) -> str:
    """
    A markdown table of every cell, facts by states, with its legend and the guards as footnotes.

    A final state has no cell at all, so it has no column but a line.
    """
    table = machine.table
    columns = [state for state in table.states if state not in table.final_states]
    guards: dict[str, int] = {}
    lines = [f"| fact | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for fact, text in machine.facts.items():
        cells = (_cell(machine, table.cell(state, fact), guards) for state in columns)
        lines.append(f"| `{fact}`<br>{_escaped(text)} | {' | '.join(cells)} |")
    lines += ["", *_legend(machine, columns)]
    if guards:
        lines += ["", "Guards, tried in the order of the lines:", ""]
        lines += [f"- <sup>{number}</sup> {guard}" for guard, number in guards.items()]
    return "\n".join(lines) + "\n"


def _cell(machine: Machine, rows: Sequence[Edge], guards: dict[str, int]) -> str:
    return "<br>".join(_row(machine, row, guards) for row in rows) or "-"


def _row(machine: Machine, row: Edge, guards: dict[str, int]) -> str:
    symbols = dict.fromkeys(machine.symbols[action] for action in row.actions if action in machine.symbols)
    parts = [f"->{row.after}"] if row.moves else []
    if not row.moves and row.fact in machine.accounted:
        parts.append("F")
    parts += symbols
    if not row.moves and not symbols:
        parts.append(", ".join(action.replace("_", " ") for action in row.actions))
    text = " ".join(part for part in parts if part) or "."
    if row.guards:
        guard = " and ".join(name if wanted else f"not {name}" for name, wanted in row.guards)
        text += f" <sup>{guards.setdefault(f'`{guard}`', len(guards) + 1)}</sup>"
    return text


def _legend(machine: Machine, columns: Sequence[str]) -> list[str]:
    legend = {
        "->X": "moves to X",
        ".": "recorded, changes nothing",
        **machine.legend,
        "words": "done without a move",
        "-": "cannot happen by construction: raises, and changes nothing",
    }
    lines = [", ".join(f"`{symbol}` {meaning}" for symbol, meaning in legend.items()) + "."]
    without = [state for state in machine.table.states if state not in columns]
    if without:
        lines[0] += f" No column: {', '.join(f'`{state}`' for state in without)} (final)."
    return lines


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
