"""What the settings of every model family must be."""

import importlib
import inspect
import typing

import pydantic
import pytest
from family_cases import CASES, CLASSES, SHAPES, SLOW, parameters_of, read_settings

from conveyor.models.build import FAMILIES
from conveyor.models.families import FamilySettings, families
from conveyor.models.tasks.settings import TaskSettings
from conveyor.models.tasks.task import TASKS, make_task


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_agree_with_the_class(name):
    settings = _settings_of(name)
    fields = {key: field for key, field in settings.model_fields.items() if key != "family"}
    parameters = {parameter.name: parameter for parameter in parameters_of(_class_of(name))}
    for kind in settings.tasks:
        task = pydantic.TypeAdapter(TaskSettings).validate_python({"kind": kind})
        arguments = make_task(task, CLASSES).model_arguments()
        assert list(parameters) == ["image_shape", *arguments, *fields]
    for key, field in fields.items():
        if field.is_required():
            assert parameters[key].default is inspect.Parameter.empty, key
            continue
        assert _plain(parameters[key].default) == _plain(field.get_default(call_default_factory=True)), key
        assert type(_plain(parameters[key].default)) is type(_plain(field.default)), key


@pytest.mark.parametrize("name", CASES)
def test_settings_come_back_from_json_as_they_are(name):
    """A stage in a process of its own is given all of them, also those that nobody has set."""
    settings = read_settings(CASES[name])
    assert read_settings(settings.model_dump(mode="json", by_alias=True)) == settings


def test_every_family_is_in_the_union_and_tested():
    assert set(FAMILIES) == {_family_of(arm) for arm in _arms()}
    assert set(FAMILIES) == {case["family"] for case in CASES.values()}
    assert set(SHAPES) | SLOW <= set(CASES)
    assert {name for kind in TASKS for name in families(kind)} == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_import_nothing_heavy(name):
    module = inspect.getsource(importlib.import_module(_settings_of(name).__module__))
    imported = {
        line.split()[1].split(".")[0] for line in module.splitlines() if line[:5] in ("impor", "from ")
    }
    assert imported <= {"typing", "pydantic", "conveyor"}


@pytest.mark.parametrize("values", [{"family": "linear", "units": [8]}, {"family": "perceptron"}, {}])
def test_unknown_families_and_settings_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        read_settings(values)


def _arms():
    return typing.get_args(typing.get_args(FamilySettings)[0])


def _family_of(settings):
    return typing.get_args(settings.model_fields["family"].annotation)[0]


def _settings_of(name):
    return next(arm for arm in _arms() if _family_of(arm) == name)


def _class_of(name):
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _plain(value):
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    return list(value) if isinstance(value, tuple | list) else value
