"""Configs: YAML in, frozen pydantic models out, errors with file and line."""

import difflib
import json
import pathlib
import types
import typing
from collections.abc import Iterable, Sequence

import pydantic
import yaml

from conveyor.pipeline.errors import UserError

_MAX_BYTES = 1 << 20  # no config is larger; a larger file is the wrong file
_Path = tuple[str | int, ...]


class Settings(pydantic.BaseModel):
    """Base of all settings: frozen, and no unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


_Settings = typing.TypeVar("_Settings", bound=Settings)


def load_config(path: pathlib.Path, model: type[_Settings], overrides: Sequence[str] = ()) -> _Settings:
    """Reads a YAML config.

    Args:
        path: The file.
        model: What it must hold.
        overrides: "dotted.key=value" each, the value in YAML; list items by index.

    Returns:
        The validated settings.

    Raises:
        UserError: The file cannot be read or parsed, a key is unknown or given twice, or a value
            is of the wrong type. Names file and line, expected and received.
    """
    try:
        text = path.read_bytes()[: _MAX_BYTES + 1]
    except OSError as error:
        raise UserError(f"the config cannot be read: {error.strerror}", where=str(path)) from None
    if len(text) > _MAX_BYTES:
        raise UserError(f"the config is larger than {_MAX_BYTES} bytes", where=str(path))
    return parse_config(text.decode("utf-8", errors="replace"), str(path), model, overrides)


def parse_config(text: str, source: str, model: type[_Settings], overrides: Sequence[str] = ()) -> _Settings:
    """Like `load_config`, from text; `source` is what error messages call it."""
    values, lines = _parse_yaml(text, source)
    where: dict[_Path, str] = {key: f"{source}, line {line}" for key, line in lines.items()}
    for override in overrides:
        key = _apply_override(values, override)
        where[key] = f"-o {override}"
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise _explain(error, model, where, source) from None


def _parse_yaml(text: str, source: str) -> tuple[dict[str, typing.Any], dict[_Path, int]]:
    """Returns the values, and the line of every key."""
    lines: dict[_Path, int] = {}
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UserError("YAML aliases are not allowed in configs", where=source)
        root = yaml.compose(text, yaml.SafeLoader)
        if root is None:
            return {}, lines
        _collect_lines(root, (), lines, source)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error) or "too deeply nested"
        raise UserError(f"the config is not valid YAML: {problem}", where=source + line) from None
    if not isinstance(values, dict):
        raise UserError(
            "the config is not a mapping",
            expected="keys and values, such as 'data: {source: digits}'",
            received=type(values).__name__,
            where=source,
        )
    return values, lines


def _collect_lines(node: yaml.Node, path: _Path, lines: dict[_Path, int], source: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise UserError("a key is not a plain word", where=f"{source}, line {line}")
            inner = (*path, key.value)
            if inner in lines:
                raise UserError(
                    f"key {'.'.join(map(str, inner))!r} is given twice", where=f"{source}, line {line}"
                )
            lines[inner] = line
            _collect_lines(value, inner, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*path, index)] = value.start_mark.line + 1
            _collect_lines(value, (*path, index), lines, source)


def _apply_override(values: dict[str, typing.Any], override: str) -> _Path:
    key, equals, text = override.partition("=")
    parts = tuple(int(part) if part.isdigit() else part for part in key.strip().split("."))
    if not equals or not key.strip() or "" in parts:
        raise UserError(
            "an override is not of the form key=value",
            expected="-o trainer.epochs=3",
            received=f"-o {override}",
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    target: typing.Any = values
    for part, following in zip(parts, parts[1:], strict=False):
        target = _descend(target, part, following, override)
    if isinstance(target, list):
        _check_index(target, parts[-1], override)
    target[parts[-1]] = value
    return parts


def _descend(target: typing.Any, part: str | int, following: str | int, override: str) -> typing.Any:
    if isinstance(target, list):
        _check_index(target, part, override)
        return target[part]
    inner = target.get(part)
    if not isinstance(inner, dict | list):
        inner = target[part] = [] if isinstance(following, int) else {}
    return inner


def _check_index(target: list[typing.Any], part: str | int, override: str) -> None:
    if not isinstance(part, int) or part >= len(target):
        raise UserError(
            f"an override names item {part!r} of a list of {len(target)}",
            expected=f"an index below {len(target)}",
            received=f"-o {override}",
        )


def _explain(
    error: pydantic.ValidationError, model: type[Settings], where: dict[_Path, str], source: str
) -> UserError:
    """Turns the first of pydantic's complaints into one message that says what to do."""
    # An unknown key is usually the cause of the other complaints, so it is told first.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    path = _key_path(problem["loc"], where)
    dotted = ".".join(str(part) for part in path)
    place = next((where[path[:n]] for n in range(len(path), 0, -1) if path[:n] in where), source)
    more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
    if problem["type"] == "extra_forbidden":
        options = _keys_at(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(path[-1]), options, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(options)}"
        return UserError(f"unknown key {dotted!r}{more}", where=place, fix=fix)
    received = problem["input"]
    shown = "nothing" if problem["type"] == "missing" else f"{received!r} ({type(received).__name__})"
    return UserError(
        f"wrong value for {dotted!r}{more}" if path else f"the config is wrong as a whole{more}",
        expected=problem["msg"],
        received=shown[:200],
        where=place,
    )


def _key_path(loc: Iterable[str | int], where: dict[_Path, str]) -> _Path:
    """Drops from pydantic's location the tags of union members, which are no keys of the file."""
    path: _Path = ()
    parts = list(loc)
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        deeper = any(known[: len(path) + 1] == (*path, part) for known in where)
        if deeper or last:
            path = (*path, part)
    return path


def _keys_at(model: typing.Any, loc: Sequence[str | int]) -> list[str]:
    """Returns the keys known at a location of pydantic's, for close matches."""
    if not loc:
        fields = getattr(model, "model_fields", {})
        return sorted(fields)
    for candidate in _members(model):
        if isinstance(candidate, type) and issubclass(candidate, pydantic.BaseModel):
            field = candidate.model_fields.get(str(loc[0]))
            if field is not None:
                return _keys_at(_inner(field.annotation, loc[1:]), _after_tag(field.annotation, loc[1:]))
    return []


def _members(annotation: typing.Any) -> list[typing.Any]:
    """Returns the types an annotation may stand for: of unions, lists and dicts their members."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, list, tuple, dict):
        return [m for arm in typing.get_args(annotation) for m in _members(arm)]
    return [annotation]


def _inner(annotation: typing.Any, loc: Sequence[str | int]) -> typing.Any:
    members = [m for m in _members(annotation) if isinstance(m, type) and issubclass(m, pydantic.BaseModel)]
    tags = [part for part in loc if isinstance(part, str)]
    for member in members:
        if tags and tags[0] in _tags(member):
            return member
    return members[0] if members else None


def _after_tag(annotation: typing.Any, loc: Sequence[str | int]) -> Sequence[str | int]:
    rest = [part for part in loc if not isinstance(part, int)]
    member = _inner(annotation, rest)
    return rest[1:] if rest and member is not None and rest[0] in _tags(member) else rest


def _tags(member: type[pydantic.BaseModel]) -> set[str]:
    """Returns the literal values that pick this member out of a union."""
    found: set[str] = set()
    for field in member.model_fields.values():
        if typing.get_origin(field.annotation) is typing.Literal:
            found |= {str(value) for value in typing.get_args(field.annotation)}
    return found


def json_schema(model: type[Settings]) -> str:
    """Returns the JSON schema of a config, for completion in editors."""
    return json.dumps(model.model_json_schema(), indent=1)
