"""
Values to and from plain JSON-able data: what the journal stores and the desk prints.

Rules:

1. A frozen value becomes a dict of its fields; a field equal to its default is left out, so that rows are small.
   Whoever changes a default changes what old rows mean and raises the journal's schema version.
2. A value at the top, and a value in a field declared as a union of frozen classes, carries its class name under "_".
3. `Decimal` becomes a str in plain notation, trailing zeros kept; never a float. Enums become their words.
4. Reading is strict: a wrong type, an unknown field, an unknown tag is refused, nothing is coerced.
   Writing is lenient: a strategy may build a `Signal` out of anything, and its denial must still be recordable.

To add a value type: nothing; annotate its fields with types of this list.
"""

from __future__ import annotations

import json
import types
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin, overload

import attrs
import orjson
from cattrs import Converter
from cattrs.cols import is_frozenset
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError
from cattrs.fns import identity

from hean.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

TAG: Final = "_"
UNFIT: Final = "unfit"
# Beyond this many digits left or right of the point a Decimal is written with its exponent: a strategy's
# Decimal("1E+999999999") must not become a gigabyte of zeros.
_PLAIN_DIGITS: Final = 64

T = TypeVar("T")


def to_plain(value: object) -> object:
    """
    Turn a value into dicts, lists, str, int, float, bool and None.

    Args:
        value: a frozen value (tagged with its class name), or a tuple, list or dict of plain things.
    """
    write = _writer(type(value))
    if write is None:
        plain: object = _CONVERTER.unstructure(value)
        return plain
    try:
        return {TAG: type(value).__name__, **write(value)}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # A signal whose fields break their types so badly that they cannot be taken apart: kept as text.
        return {TAG: type(value).__name__, UNFIT: repr(value)}


@overload
def from_plain(kind: type[T], data: object) -> T: ...
@overload
def from_plain(kind: object, data: object) -> Any: ...
def from_plain(kind: Any, data: object) -> Any:
    """
    Build the value that `to_plain` was given.

    Args:
        kind: its class, or a union of frozen classes of which the tag chooses one.
        data: what `to_plain` returned; it is not changed.

    Raises:
        LocalError: the data is not such a value; nothing has changed.
    """
    try:
        return _CONVERTER.structure(_untagged(kind, data), kind)
    except (
        ArithmeticError,
        AttributeError,
        BaseValidationError,
        ForbiddenExtraKeysError,
        KeyError,
        StructureHandlerNotFoundError,
        TypeError,
        ValueError,
    ) as error:
        name = getattr(kind, "__name__", kind)
        raise LocalError(f"expected the plain form of {name}, was {data!r:.200}: {error!r}") from error


def _untagged(kind: Any, data: object) -> object:
    """Take the tag off the data of a frozen class, having seen that it fits."""
    if not (attrs.has(kind) and isinstance(data, dict) and TAG in data):
        return data
    if data[TAG] != kind.__name__:
        raise ValueError(f"expected {kind.__name__}, was {data[TAG]!r}")
    return {name: part for name, part in data.items() if name != TAG}


def dumps(value: object) -> str:
    """Write a value as one line of JSON text; fields keep their declared order, so equal values give equal text."""
    # A record's body is plain but for a part here and there: only those parts are taken apart.
    plain = value if _writer(type(value)) is None else to_plain(value)
    try:
        return orjson.dumps(plain, default=_write_part).decode()
    except TypeError:
        # Lone surrogates and integers beyond 64 bits, which orjson refuses; a denied signal may hold them.
        return json.dumps(to_plain(value), default=repr, separators=(",", ":"))


def _write_part(part: object) -> object:
    if isinstance(part, Decimal | frozenset) or _writer(type(part)) is not None:
        return to_plain(part)
    return repr(part)


def _writer(kind: type) -> Callable[[Any], dict[str, object]] | None:
    """What writes a value of that class; None where it is no frozen class."""
    try:
        return _WRITERS[kind]
    except KeyError:
        writer = _CONVERTER.get_unstructure_hook(kind) if attrs.has(kind) else None
        return _WRITERS.setdefault(kind, writer)


@overload
def loads(kind: type[T], text: str) -> T: ...
@overload
def loads(kind: object, text: str) -> Any: ...
def loads(kind: Any, text: str) -> Any:
    """
    Build the value that `dumps` was given.

    Raises:
        LocalError: the text is not JSON, or not such a value; nothing has changed.
    """
    try:
        data: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            data = json.loads(text)
        except ValueError as error:
            raise LocalError(f"expected JSON, was {text!r:.200}") from error
    return from_plain(kind, data)


def _decimal_text(value: Decimal) -> str:
    text = str(value)
    if "E" in text and abs(value.adjusted()) < _PLAIN_DIGITS:
        return format(value, "f")
    return text


def _write_decimal(value: object) -> object:
    if type(value) is Decimal:
        text = str(value)
        return _decimal_text(value) if "E" in text else text
    return _decimal_text(value) if isinstance(value, Decimal) else value


def _is_optional_plain(kind: object) -> bool:
    """Whether a field is None or something that JSON has: then nothing need be called to write it."""
    members = _members(kind)
    return len(members) == 1 and types.NoneType in get_args(kind) and _base_of(members[0]) in {str, int, bool, float}


def _is_optional_decimal(kind: object) -> bool:
    return types.NoneType in get_args(kind) and _members(kind) == (Decimal,)


def _fields_writer(kind: type, converter: Converter) -> Callable[[Any], dict[str, object]]:
    """
    Make the writer of a frozen class: fields that have no default, then the others, without what equals its default.

    One pass and hardly a call: every fact of every order is written so. A default of None is looked at by identity, as
    `Decimal` compares itself to whatever is no number by way of the abstract base classes.
    """
    parts: list[tuple[str, object, Callable[[Any], object] | None]] = []
    for field in attrs.fields(attrs.resolve_types(kind)):
        if field.init:
            default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
            hook = converter.get_unstructure_hook(field.type)
            parts.append((field.name, default, None if hook is identity else hook))
    parts.sort(key=lambda part: part[1] is not attrs.NOTHING)

    def write(value: Any) -> dict[str, object]:
        written: dict[str, object] = {}
        for name, default, hook in parts:
            part = getattr(value, name)
            if part is default or (default is not None and default is not attrs.NOTHING and part == default):
                continue
            if hook is None:
                written[name] = part
            elif hook is _write_decimal and type(part) is Decimal:
                text = str(part)
                written[name] = _decimal_text(part) if "E" in text else text
            else:
                written[name] = hook(part)
        return written

    return write


def _base_of(kind: Any) -> object:
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    return kind


def _read_decimal(data: object, _: object) -> Decimal:
    if type(data) is not str:
        raise TypeError(f"expected a number as str, was {data!r}")
    try:
        return Decimal(data)
    except InvalidOperation as error:
        raise ValueError(f"expected a number, was {data!r}") from error


def _write_number_or_text(value: object) -> object:
    """Of a field that takes str or Decimal: the tag keeps the two apart, so that a signal reads back equal."""
    return {TAG: "Decimal", "value": _decimal_text(value)} if isinstance(value, Decimal) else value


def _read_number_or_text(data: object, _: object) -> str | Decimal | None:
    if isinstance(data, dict):
        if data.keys() != {TAG, "value"} or data[TAG] != "Decimal":
            raise ValueError(f"expected a tagged Decimal, was {data!r}")
        return _read_decimal(data["value"], Decimal)
    if data is None or type(data) is str:
        return data
    # What a strategy put there against the types, a float for example: its denial reads back as text.
    return repr(data)


def _reader_of_exactly(kind: type) -> Callable[[object, object], object]:
    def read(data: object, _: object) -> object:
        if type(data) is not kind:
            raise TypeError(f"expected {kind.__name__}, was {data!r}")
        return data

    return read


def _read_word(data: str, kind: type[StrEnum]) -> StrEnum:
    return kind(data)


def _members(kind: object) -> tuple[Any, ...]:
    """List the parts of a union without None; empty where `kind` is no union."""
    if get_origin(kind) not in {Union, types.UnionType}:
        return ()
    return tuple(part for part in get_args(kind) if part is not types.NoneType)


def _is_tagged_union(kind: object) -> bool:
    members = _members(kind)
    return len(members) > 1 and all(attrs.has(member) for member in members)


def _is_number_or_text(kind: object) -> bool:
    return set(_members(kind)) == {str, Decimal}


def _tagged_writer(kind: object, converter: Converter) -> Callable[[object], object]:
    writers = {member: converter.get_unstructure_hook(member) for member in _members(kind)}

    def write(value: object) -> object:
        if value is None:
            return None
        return {TAG: type(value).__name__, **writers[type(value)](value)}

    return write


def _tagged_reader(kind: object, converter: Converter) -> Callable[[object, object], object]:
    readers = {member.__name__: (member, converter.get_structure_hook(member)) for member in _members(kind)}
    nullable = types.NoneType in get_args(kind)

    def read(data: object, _: object) -> object:
        if data is None and nullable:
            return None
        if not isinstance(data, dict) or data.get(TAG) not in readers:
            raise ValueError(f"expected a value tagged {sorted(readers)}, was {data!r:.200}")
        member, reader = readers[data[TAG]]
        return reader({name: part for name, part in data.items() if name != TAG}, member)

    return read


def _make_converter() -> Converter:
    converter = Converter(omit_if_default=True, forbid_extra_keys=True, detailed_validation=False)
    for kind in (str, int, bool, float):
        converter.register_structure_hook(kind, _reader_of_exactly(kind))
    converter.register_unstructure_hook(Decimal, _write_decimal)
    converter.register_structure_hook(Decimal, _read_decimal)
    converter.register_unstructure_hook(StrEnum, str)
    converter.register_structure_hook(StrEnum, _read_word)
    converter.register_unstructure_hook_func(_is_number_or_text, _write_number_or_text)
    converter.register_structure_hook_func(_is_number_or_text, _read_number_or_text)
    # Sorted, so that equal sets give equal text.
    converter.register_unstructure_hook_func(is_frozenset, sorted)
    converter.register_unstructure_hook_factory(attrs.has, _fields_writer)
    converter.register_unstructure_hook_factory(_is_optional_plain, lambda _: identity)
    converter.register_unstructure_hook_func(_is_optional_decimal, _write_decimal)
    converter.register_unstructure_hook_factory(_is_tagged_union, _tagged_writer)
    converter.register_structure_hook_factory(_is_tagged_union, _tagged_reader)
    return converter


_CONVERTER: Final = _make_converter()
_WRITERS: Final[dict[type, Callable[[Any], dict[str, object]] | None]] = {}
