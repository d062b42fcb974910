"""The page as a whole: complete, self-contained, the same every time."""

import base64
import hashlib
import html.parser
import itertools
import re
import subprocess
import sys

from conveyor.components.model_card.settings import ModelCardSettings

_FETCHING = {"src", "href", "srcset", "action", "formaction", "poster", "data", "background", "xlink:href"}


class _Reader(html.parser.HTMLParser):
    """Collects tags with their attributes, scripts, and text outside of scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.scripts, self.styles, self.words = [], [], [], []
        self._raw = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._raw = self.styles if tag == "style" else self.scripts
            self._raw.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._raw = None

    def handle_data(self, data):
        if self._raw is None:
            self.words.append(data)
        else:
            attrs, text = self._raw[-1]
            self._raw[-1] = (attrs, text + data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_nothing_is_fetched(run):
    page = _Reader(run.card())
    for tag, attrs in page.tags:
        for name in _FETCHING & set(attrs):
            assert attrs[name].startswith(("#", "data:image/")), (tag, name, attrs[name][:80])
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not [name for name in attrs if name.startswith("on")]
    assert [text for _, text in page.styles if re.search(r"url\(|@import", text)] == []


def test_policy_allows_the_two_scripts_of_the_page_and_no_request(run):
    page = _Reader(run.card())
    policy = next(attrs["content"] for tag, attrs in page.tags if "http-equiv" in attrs)
    code = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in code]
    assert len(code) == 2
    assert policy.split("; ") == [
        "default-src 'none'",
        "script-src " + " ".join(f"'sha256-{digest}'" for digest in digests),
        "style-src 'unsafe-inline'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_same_inputs_same_bytes(run):
    first = run.card(out="a", lineage=run.lineage(1.0))
    second = run.card(out="b", lineage=run.lineage(99.0)[::-1])
    assert first == second
    assert "run-" not in first


def test_a_fresh_process_writes_the_same_bytes_without_tensorflow(run):
    page = run.card(lineage=[])
    script = f"""
import pathlib, sys
from conveyor.components import artifacts as kinds
from conveyor.components.model_card.settings import ModelCardSettings
from conveyor.components.model_card.stage import model_card
from conveyor.pipeline.stage import Context
assert not {{"altair", "jinja2", "PIL", "vl_convert"}} & set(sys.modules)
folder = pathlib.Path({str(run.folder)!r})
inputs = {{name: port.type.load(folder / "made" / name) for name, port in model_card.inputs.items()}}
(folder / "fresh").mkdir()
card = kinds.ModelCard(folder / "fresh")
model_card(**inputs, card=card, settings=ModelCardSettings(), context=Context(workspace=folder))
assert not {{"tensorflow", "keras", "apache_beam", "pandas"}} & set(sys.modules)
"""
    environment = {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=run.folder)
    assert (run.folder / "fresh" / "model_card.html").read_text(encoding="utf-8") == page


def test_all_is_told(run):
    page = _Reader(run.card(settings=ModelCardSettings(title="digits")))
    for name in [*run.made["evaluation"].read()["metrics"], "Blessed", "Proved on served bytes"]:
        assert name.rpartition("/")[2] in page.words or name.partition("/")[2] in page.words, name
    for told in (
        "average_precision_macro 0.9912 reaches 0.98.",
        "Version 3 in serving/digits. Of 32 images, answered unlike version 2: class_id 2,"
        " scores 9 (by up to 0.125).",
        "0.9796 – 0.9935",
        "1,797 examples, 10 classes.",
        "8 – 12 (mean 8.4)",
        "1,820 files were read",
        "empty 23 has no content",
        "3 more rows in quarantine.jsonl",
        "23 of 1820 files were set aside as empty",
        "64,458",
        "16x16x32",
        "dense layers in their place would need 33,586,176",
        "The weights kept are those of epoch 10",
        "served 360 examples from their raw bytes",
        "And 6 more pictures",
        "onnx 1.2500 accuracy 0.9800 -0.0071 [-0.0092, 0.0013] yes",
        "no: it cannot be converted: <b>some op</b>",
    ):
        assert told in page.text, told


def test_headings_are_in_order_and_pictures_described(run):
    page = _Reader(run.card())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")


def test_paths_of_this_machine_are_not_told(run):
    config = {"data": {"source": f"folder:{run.folder}/pictures"}, "pusher": {"to": "/srv/models/all/digits"}}
    page = run.card(config=config)
    assert str(run.folder) not in page
    assert "/home/somebody" not in page
    for told in ("{workspace}/serving/digits", "folder:{workspace}/pictures", "…/all/digits"):
        assert told in page


def test_lineage_follows_the_flow(run):
    page = run.card()
    digest = run.made["model"].digest
    assert f'<code title="{digest}">{digest[:12]}</code>' in page
    places = [page.index(f'<th scope="row">{stage}</th>') for stage in ("example_gen", "trainer")]
    assert places == sorted(places)


def test_size(run):
    assert len(run.card().encode()) < 2_000_000


def test_scripts_are_bundled_once(run, monkeypatch, tmp_path):
    import vl_convert

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = run.card(out="a")
    with monkeypatch.context() as patched:
        patched.delattr(vl_convert, "javascript_bundle")
        assert run.card(out="b") == first
    assert [file.suffix for file in (tmp_path / "cache" / "conveyor").iterdir()] == [".js"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # cannot be written
    assert run.card(out="c") == first


def test_a_run_that_the_data_stopped(run):
    run.stop_after("anomalies", "the data did not pass: 23 files", "mend the data.")
    page = _Reader(run.card())
    assert "The run stopped at example_validator : the data did not pass: 23 files" in page.text
    assert "What to do: mend the data." in page.text
    assert "Not run: transform, trainer, evaluator, infra_validator, pusher." in page.text
    assert "Not judged" in page.words
    assert "Not pushed" in page.words
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert sections == ["data", "anomalies", "quarantine", "statistics", "lineage", "config"]


def test_a_run_that_the_evaluation_stopped(run):
    blessing = run.made["blessing"]
    document = blessing.read()
    document["checks"][0] |= {"at_least": 0.995, "passed": False}
    blessing.write(document | {"blessed": False})
    run.stop_after("blessing", "the model is not blessed")
    page = _Reader(run.card())
    assert "The run stopped at evaluator : the model is not blessed" in page.text
    assert "average_precision_macro 0.9912 does not reach 0.995." in page.text
    assert "Not run: infra_validator, pusher." in page.text
    assert "not passed" in page.words


def test_a_run_whose_served_answers_differ(run):
    proof = {"blessed": False, "examples": 360, "largest_difference": 0.25, "metrics": {}}
    run.made["infra_blessing"].write(proof | {"reason": "class_id differs"})
    run.stop_after("infra_blessing", "what is served is not what was evaluated")
    page = _Reader(run.card())
    assert "its answers are not the evaluated ones: class_id differs." in page.text
    assert "The run stopped at infra_validator" in page.text


def test_only_examples(run):
    for name in list(run.made)[1:]:
        run.made[name] = None
    page = _Reader(run.card())
    assert "This run left out: statistics_gen, example_validator" in page.text
    assert "The data was not checked." in page.text
    assert "1,257" in page.words


def test_nothing_set_aside_nothing_recorded(run):
    run.made["examples"].quarantine_file.write_text("", encoding="utf-8")
    run.made["anomalies"].write([])
    run.made["blessing"].write({"blessed": True, "checks": []})
    page = _Reader(run.card(lineage=[]))
    for told in (
        "Nothing was set aside of 1,820 files.",
        "None was found.",
        "No check was asked for",
        "None was recorded.",
    ):
        assert told in page.text
