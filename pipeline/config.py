"""Configs: YAML in, frozen pydantic models out, errors with file and line."""

import itertools
import json
import pathlib
import re
import types
import typing
from collections.abc import Iterable, Sequence

import pydantic
import yaml

from conveyor.pipeline.errors import UserError, did_you_mean

_MAX_BYTES = 1 << 20  # no config is larger; a larger file is the wrong file
_MAX_DEPTH = 50
_Path = tuple[str | int, ...]
_ABSENT = ("missing", "union_tag_not_found")
_KEY_PROBLEMS = (*_ABSENT, "extra_forbidden", "invalid_key")
_INDEX = re.compile("[0-9]{1,9}")


class Settings(pydantic.BaseModel):
    """Base of all settings: frozen, no unknown keys, and no numbers that JSON and digests lack."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


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
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"the config cannot be read: {error.strerror}", where=str(path)) from None
    if len(text) > _MAX_BYTES:
        raise UserError(f"the config is larger than {_MAX_BYTES} bytes", where=str(path))
    return parse_config(text.decode("utf-8", errors="replace"), str(path), model, overrides)


def parse_config(text: str, source: str, model: type[_Settings], overrides: Sequence[str] = ()) -> _Settings:
    """Like `load_config`, from text; `source` is what error messages call it."""
    values, lines = _parse_yaml(text, source)
    values = {} if values is None else values  # nothing but comments
    if not isinstance(values, dict):
        raise UserError(
            "the config is not a mapping",
            expected="keys and values, such as 'data: {source: digits}'",
            received=type(values).__name__,
            where=source,
        )
    where: dict[_Path, str] = {key: f"{source}, line {line}" for key, line in lines.items()}
    for override in overrides:
        key, inner = _apply_override(values, override)
        where = {known: place for known, place in where.items() if known[: len(key)] != key}
        places = dict.fromkeys((key, *inner), f"-o {override}")
        above = dict.fromkeys((key[:n] for n in range(1, len(key))), f"-o {override}")
        where = {**above, **where, **places}
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise _explain(error, model, where, source) from None


def _parse_yaml(text: str, source: str) -> tuple[typing.Any, dict[_Path, int]]:
    """Returns the value, and the line of every key."""
    lines: dict[_Path, int] = {}
    try:
        _refuse_tricks(text, source)
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None:
            _collect_lines(root, (), lines, source)
        return yaml.safe_load(text), lines
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"the config is not valid YAML: {problem}", where=source + line) from None


def _refuse_tricks(text: str, source: str) -> None:
    """Refuses what would let a small text grow large, take long, or make more than plain values."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        alias, tag = isinstance(event, yaml.AliasEvent), getattr(event, "tag", None)
        if alias or tag or depth > _MAX_DEPTH:
            what = "alias" if alias else "tag" if tag else f"nesting deeper than {_MAX_DEPTH}"
            line = event.start_mark.line + 1
            raise UserError(f"YAML: no {what} is allowed in a config", where=f"{source}, line {line}")


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


def _apply_override(values: dict[str, typing.Any], override: str) -> tuple[_Path, list[_Path]]:
    """Sets what an override names; returns its key, and the keys inside its value."""
    key, equals, text = override.partition("=")
    parts = tuple(int(part) if _INDEX.fullmatch(part) else part for part in key.strip().split("."))
    if not equals or not key.strip() or "" in parts:
        raise UserError(
            "an override is not of the form key=value",
            expected="-o trainer.epochs=3",
            received=f"-o {override}",
        )
    try:
        value, lines = _parse_yaml(text, "")
    except UserError:  # such as {workspace}/serving
        value, lines = text, {}
    target: typing.Any = values
    for part, following in itertools.pairwise(parts):
        target = _descend(target, part, following, override)
    _check_index(target, parts[-1], override)
    target[parts[-1]] = value
    return parts, [(*parts, *inner) for inner in lines]


def _descend(target: typing.Any, part: str | int, following: str | int, override: str) -> typing.Any:
    _check_index(target, part, override)
    inner = target.get(part) if isinstance(target, dict) else target[part]
    if not isinstance(inner, dict | list):
        inner = target[part] = [] if isinstance(following, int) else {}
    return inner


def _check_index(target: typing.Any, part: str | int, override: str) -> None:
    if isinstance(target, list) and (not isinstance(part, int) or part >= len(target)):
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
    problem = _at_tag(problems[0])
    path = _key_path(problem, where)
    dotted = ".".join(str(part) for part in path)
    place = next((where[path[:n]] for n in range(len(path), 0, -1) if path[:n] in where), source)
    more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
    if problem["type"] == "extra_forbidden":
        fix = did_you_mean(str(path[-1]), _keys_at([model], problem["loc"][:-1]))
        return UserError(f"unknown key {dotted!r}{more}", where=place, fix=fix)
    received, context = problem["input"], problem.get("ctx", {})
    shown = "nothing" if problem["type"] in _ABSENT else f"{received!r} ({type(received).__name__})"
    options = re.findall("'([^']+)'", str(context.get("expected_tags", context.get("expected"))))
    return UserError(
        f"wrong value for {dotted!r}{more}" if path else f"the config is wrong as a whole{more}",
        expected=problem["msg"],
        received=shown[:200],
        where=place,
        fix=did_you_mean(str(received), options),
    )


def _at_tag(problem: typing.Mapping[str, typing.Any]) -> typing.Mapping[str, typing.Any]:
    """Moves a complaint about the tag of a union from the union to the tag."""
    if not problem["type"].startswith("union_tag"):
        return problem
    context = problem["ctx"]
    key = context["discriminator"].strip("'()")  # the key, or a function that is called like it
    told = f"one of {context['expected_tags']}" if "expected_tags" in context else problem["msg"]
    return {**problem, "loc": (*problem["loc"], key), "input": context.get("tag"), "msg": told}


def _key_path(problem: typing.Mapping[str, typing.Any], where: dict[_Path, str]) -> _Path:
    """Drops from pydantic's location the members of unions, which are no keys of the file."""
    path: _Path = ()
    for index, part in enumerate(problem["loc"], 1):
        # the last one is always a key where a key is what is wrong, and need not be in the file
        key = index == len(problem["loc"]) and problem["type"] in _KEY_PROBLEMS
        if key or any(known[: len(path) + 1] == (*path, part) for known in where):
            path = (*path, part)
    return path


def _keys_at(annotations: Iterable[typing.Any], loc: Sequence[str | int]) -> list[str]:
    """Returns the keys known at a location of pydantic's, for close matches."""
    members = [member for annotation in annotations for member in _members(annotation)]
    models = [m for m in members if isinstance(m, type) and issubclass(m, pydantic.BaseModel)]
    if not loc:
        return [key for model in models for key in _fields(model)]
    if len(models) == 1 and loc[0] in _fields(models[0]):
        return _keys_at([_fields(models[0])[loc[0]].annotation], loc[1:])
    # no key: the tag of a union's member, a list's index, or a key of a dict
    return _keys_at([m for m in models if loc[0] in _tags(m)] or models, loc[1:])


def _fields(model: type[pydantic.BaseModel]) -> dict[typing.Any, pydantic.fields.FieldInfo]:
    """Returns a model's fields by the names they have in a file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _members(annotation: typing.Any) -> list[typing.Any]:
    """Returns the types an annotation may stand for: of unions, lists and dicts their members."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, list, tuple, dict):
        return [m for arm in typing.get_args(annotation) for m in _members(arm)]
    return [annotation]


def _tags(member: type[pydantic.BaseModel]) -> set[str]:
    """Returns what pydantic may call this member of a union: its class, or values of its literals."""
    found = {member.__name__}
    for field in member.model_fields.values():
        if typing.get_origin(field.annotation) is typing.Literal:
            found |= {str(value) for value in typing.get_args(field.annotation)}
    return found


def json_schema(model: type[Settings]) -> str:
    """Returns the JSON schema of a config, for completion in editors."""
    return json.dumps(model.model_json_schema(), indent=1)
