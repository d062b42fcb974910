import pathlib
import typing

import pytest

from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context, In, Out, Port, Stage, stage


class Cat(Artifact):
    pass


class Dog(Artifact):
    pass


class Fur(Settings):
    length: int = 1


@stage
def groom(
    cat: In[Cat],
    dog: In[Dog] | None,
    old: typing.Optional[In[Cat]],  # noqa: UP045 - the older way to write it
    clean_cat: Out[Cat],
    clean_dog: Out[Dog],
    settings: Fur,
    context: Context,
) -> None:
    context.look("test", "report")


def test_ports_come_from_the_signature():
    assert dict(groom.inputs) == {"cat": Port(Cat), "dog": Port(Dog, True), "old": Port(Cat, True)}
    assert dict(groom.outputs) == {"clean_cat": Port(Cat), "clean_dog": Port(Dog)}
    assert groom.settings_type is Fur


def test_name_and_reference():
    assert groom.name == "groom"
    assert groom.reference == f"{__name__}:groom"


def test_defaults():
    assert (groom.warm, groom.fingerprint, groom.still_holds, groom.after_gate) == ((), None, None, False)


def test_options():
    def look(settings, workspace):
        return "x"

    @stage(warm=("colorsys",), fingerprint=look, after_gate=True)
    def load(cat: Out[Cat], settings: Settings, context: Context) -> None:
        pass

    assert isinstance(load, Stage)
    assert (load.warm, load.fingerprint, load.after_gate) == (("colorsys",), look, True)


def test_unknown_option_is_refused():
    with pytest.raises(TypeError, match="cached"):
        stage(lambda: None, cached=True)


def test_call_calls_the_function():
    context = Context()
    groom(cat=None, dog=None, old=None, clean_cat=None, clean_dog=None, settings=Fur(), context=context)
    assert context.looks == [{"split": "test", "purpose": "report"}]


def untyped(cat, settings: Fur, context: Context):
    pass


def neither(cat: Cat, settings: Fur, context: Context):
    pass


def optional_output(cat: Out[Cat] | None, settings: Fur, context: Context):
    pass


def two_inputs(cat: In[Cat] | In[Dog], settings: Fur, context: Context):
    pass


def three_arms(cat: In[Cat] | In[Dog] | None, settings: Fur, context: Context):
    pass


def other_mark(cat: typing.Annotated[Cat, "mine"], settings: Fur, context: Context):
    pass


@pytest.mark.parametrize(
    ("function", "received"),
    [
        (untyped, "None"),
        (neither, "Cat"),
        (optional_output, "Out"),
        (two_inputs, "Dog"),
        (three_arms, "Dog"),
        (other_mark, "mine"),
    ],
)
def test_parameter_of_another_type_is_refused(function, received):
    with pytest.raises(UserError, match=f"stage {function.__name__}: parameter 'cat'") as caught:
        stage(function)
    assert "In[SomeArtifact]" in caught.value.expected
    assert received.lower() in caught.value.received.lower()


def test_context_starts_empty():
    assert (Context().lineage, Context().looks) == ([], [])
    assert Context().workspace == pathlib.Path()
