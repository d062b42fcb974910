import heapq
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Port, Stage

KINDS = [type(f"Kind{number}", (Artifact,), {}) for number in range(10)]
A, B, C, D = KINDS[:4]


def node(name, makes=(), reads=(), optional=(), **options):
    """Returns a node; the port of a type has the type's name in lower case."""
    inputs = {kind.__name__.lower(): Port(kind, kind in optional) for kind in (*reads, *optional)}
    outputs = {kind.__name__.lower(): Port(kind) for kind in makes}
    return Node(Stage(lambda: None, inputs, outputs, Settings), name=name, **options)


def names(pipeline):
    return [node.name for node in pipeline.nodes]


def test_inputs_are_wired_by_type():
    pipeline = Pipeline([node("two", [B], [A]), node("one", [A]), node("three", [C], [A, B], [D])])
    assert pipeline.sources == {
        "one": {},
        "two": {"kind0": ("one", "kind0")},
        "three": {"kind0": ("one", "kind0"), "kind1": ("two", "kind1"), "kind3": None},
    }
    assert names(pipeline) == ["one", "two", "three"]


def test_name_defaults_to_that_of_the_stage():
    def trainer():
        pass

    stage = Stage(trainer, {}, {}, Settings)
    assert [Node(stage).name, Node(stage, name="second").name] == ["trainer", "second"]


def test_reference_settles_what_the_type_does_not():
    nodes = [node("left", [A]), node("right", [A])]
    pipeline = Pipeline([*nodes, node("reader", [B], [A], inputs={"kind0": "right.kind0"})])
    assert pipeline.sources["reader"] == {"kind0": ("right", "kind0")}


def test_a_stage_may_make_the_type_it_reads():
    pipeline = Pipeline([node("one", [A]), node("mend", [A], [A], inputs={"kind0": "one.kind0"})])
    assert names(pipeline) == ["one", "mend"]
    # its own output is no candidate
    assert Pipeline([node("one", [A]), Node(pipeline.nodes[1].stage, name="b", inputs={})]).sources["b"] == {
        "kind0": ("one", "kind0")
    }


def test_settings_of_another_type_are_refused():
    class Fur(Settings):
        pass

    stage = Stage(lambda: None, {}, {}, Fur)
    with pytest.raises(UserError, match="stage groom: wrong kind of settings") as caught:
        Node(stage, Settings(), name="groom")
    assert (caught.value.expected, caught.value.received) == ("Fur", "Settings")


@pytest.mark.parametrize(
    ("nodes", "messages"),
    [
        ([node("one", [A]), node("one", [B])], ["two stages are named 'one'"]),
        (
            [node("one", [A]), node("two", [], [B])],
            [
                "stage two",
                "no stage produces",
                "type Kind1",
                "outputs of type Kind0\n",
                "did you mean 'Kind0'?",
            ],
        ),
        ([node("two", [], [B])], ["outputs of type none"]),
        (
            [node("one", [A]), node("two", [A]), node("three", [B], [A])],
            ["stage three", "'kind0' (Kind0): one.kind0, two.kind0", 'inputs={"kind0": "stage.output"}'],
        ),
        (
            [node("one", [A]), node("two", [A]), node("three", [B], optional=[A])],
            ["several outputs could be its input 'kind0'"],
        ),
        (
            [node("one", [A]), node("two", [B], [A], inputs={"kind0": "onne.kind0"})],
            ["nothing produces 'onne.kind0'", "'kind0'", "did you mean 'one.kind0'"],
        ),
        (
            [node("one", [A]), node("two", [B], [A], inputs={"kind": "one.kind0"})],
            ["stage two has no input 'kind'", "did you mean 'kind0'?"],
        ),
        (
            [node("one", [A, C]), node("two", [B], [A], inputs={"kind0": "one.kind2"})],
            ["wrong type", "Kind0", "Kind2 from one.kind2"],
        ),
        (
            [node("one", [A], [C]), node("two", [B], [A]), node("three", [C], [B])],
            ["cycle", "one -> two -> three -> one"],
        ),
        ([node("one", [A], [A], inputs={"kind0": "one.kind0"})], ["cycle: one -> one"]),
    ],
)
def test_wiring_errors_surface_at_construction(nodes, messages):
    with pytest.raises(UserError) as caught:
        Pipeline(nodes)
    # a cycle may be told from any of its stages on
    text = str(caught.value).replace("two -> three -> one -> two", "one -> two -> three -> one")
    text = text.replace("three -> one -> two -> three", "one -> two -> three -> one")
    assert [message for message in messages if message not in text] == []


# === random graphs ===


@st.composite
def graphs(draw, smallest=1):
    """Draws edges of an acyclic graph (number -> numbers it reads) and an order to give its nodes in."""
    size = draw(st.integers(smallest, len(KINDS)))
    reads = {number: draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(size)}
    return reads, draw(st.permutations(range(size)))


def build(reads, order):
    return [node(str(n), [KINDS[n]], [KINDS[r] for r in sorted(reads[n])]) for n in order]


def stable_order(reads, order):
    """Kahn's algorithm that always takes the earliest given node: the oracle."""
    place = {number: index for index, number in enumerate(order)}
    waiting = {number: set(sources) for number, sources in reads.items()}
    ready = [place[number] for number in waiting if not waiting[number]]
    heapq.heapify(ready)
    found = []
    while ready:
        number = order[heapq.heappop(ready)]
        found.append(number)
        for other, sources in waiting.items():
            if number in sources:
                sources.remove(number)
                if not sources:
                    heapq.heappush(ready, place[other])
    return found


def reachable(reads, start):
    found = {start}
    while more := {n for n, sources in reads.items() if sources & found} - found:
        found |= more
    return found


@given(graphs())
def test_order_is_topological_and_stable(graph):
    reads, order = graph
    pipeline = Pipeline(build(reads, order))
    assert names(pipeline) == [str(number) for number in stable_order(reads, order)]
    for number, sources in reads.items():
        wired = {source[0] for source in pipeline.sources[str(number)].values()}
        assert wired == {str(source) for source in sources}
    assert names(Pipeline(pipeline.nodes)) == names(pipeline)  # an order that fits is kept


@given(graphs(), st.data())
def test_downstream_and_select(graph, data):
    reads, order = graph
    pipeline = Pipeline(build(reads, order))
    start = data.draw(st.sampled_from(order))
    assert pipeline.downstream(str(start)) == {str(number) for number in reachable(reads, start)}
    selected = pipeline.select(until=str(start))
    assert selected == pipeline.nodes[: len(selected)]
    assert selected[-1].name == str(start)


@given(graphs(smallest=2), st.data())
def test_any_cycle_is_found(graph, data):
    reads, order = graph
    late = data.draw(st.integers(1, len(order) - 1))
    early = data.draw(st.integers(0, late - 1))
    reads = {**reads, late: reads[late] | {early}, early: reads[early] | {late}}
    with pytest.raises(UserError, match="the stages form a cycle") as caught:
        Pipeline(build(reads, order))
    path = caught.value.what.partition(": ")[2].split(" -> ")
    assert path[0] == path[-1]
    assert all(int(source) in reads[int(reader)] for source, reader in itertools.pairwise(path))


@given(graphs(), st.data())
def test_any_missing_ambiguous_or_duplicate_producer_is_found(graph, data):
    reads, order = graph
    nodes = build(reads, order)
    used = sorted(set().union(*reads.values()))
    gone = data.draw(st.sampled_from(order))
    twin = node("twin", [KINDS[gone]])
    if gone in used:
        with pytest.raises(UserError, match=f"no stage produces its input 'kind{gone}'"):
            Pipeline(n for n in nodes if n.name != str(gone))
        with pytest.raises(UserError, match=rf"could be its input 'kind{gone}' .*(\btwin\.kind{gone})"):
            Pipeline([*nodes, twin])
    else:
        Pipeline([*nodes, twin])  # nobody asks
    with pytest.raises(UserError, match=f"two stages are named '{gone}'"):
        Pipeline([*nodes, node(str(gone))])


# === until and from ===

CHAIN = Pipeline([node("ingest", [A]), node("train", [B], [A]), node("judge", [C], [B])])


def test_select_everything():
    assert CHAIN.select() == CHAIN.nodes


@pytest.mark.parametrize("options", [{"until": "trian"}, {"start": "trian"}])
def test_select_unknown_stage(options):
    option = {"until": "--until", "start": "--from"}[next(iter(options))]
    with pytest.raises(UserError, match=f"{option}: no stage is named 'trian'") as caught:
        CHAIN.select(**options)
    assert caught.value.fix == "did you mean 'train'?"


def test_select_nothing():
    with pytest.raises(UserError, match="--from judge comes after --until train"):
        CHAIN.select(until="train", start="judge")
