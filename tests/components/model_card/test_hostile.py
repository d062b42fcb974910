"""Texts that mean harm stay texts."""

import html
import html.parser
import json
import re

import PIL.Image
import pytest

from conveyor.components.model_card.settings import ModelCardSettings


class _Tags(html.parser.HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.found = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.add((tag, *sorted(name for name, _ in attrs)))


@pytest.mark.parametrize("pair", [("run", "hostile_run"), ("data_run", "hostile_data_run")])
def test_no_text_becomes_markup(pair, request):
    plain, hostile = (_Tags(request.getfixturevalue(name).card()).found for name in pair)
    assert hostile == plain


def test_names_and_details_of_faulty_files_stay_texts(hostile_data_run):
    page = hostile_data_run.card()
    text = html.escape(hostile_data_run.hostile).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    assert "<img src=x" not in page
    for told in (
        f'alt="{text} objects[0]: box_outside - {text} is not as it must be"',
        f'alt="train {text} and test {text}"',
        f"<td>{text} is not as it must be</td>",
        f"<code>{text}</code>",
        f"<p>a long error about {text}</p>",
    ):
        assert told in page, told
    specs = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(specs) == 15
    assert not [spec for spec in specs if "<" in spec or not spec.isascii()]


@pytest.mark.parametrize("file", ["../statistics/picture.jpg", "/etc/passwd", "previews", "a\0b", ""])
def test_no_preview_is_read_outside_of_the_examples(data_run, file):
    made = data_run.made
    PIL.Image.new("L", (9, 9)).save(made["statistics"].path / "picture.jpg")
    row = {"file": "a", "field": "objects[0]", "reason": "box_outside", "detail": "", "action": "clipped"}
    made["examples"].quarantine_file.write_text(json.dumps({**row, "preview": file}) + "\n", encoding="utf-8")
    made["anomalies"].write([])
    page = data_run.card()
    assert page.count("cannot be read") == bool(file)
    assert "data:image" not in page


def test_texts_without_end_are_cut(data_run):
    row = {"file": "f" * 4096, "field": "x" * 9999, "reason": "malformed", "detail": "d" * 1_000_000}
    made = data_run.made
    made["examples"].quarantine_file.write_text(json.dumps({**row, "preview": "a.jpg"}) + "\n")
    anomaly = {"severity": "error", "split": "", "short": "s" * 9999, "long": "l" * 1_000_000}
    made["anomalies"].write([{**anomaly, "examples": ["e" * 1_000_000]}])
    page = data_run.card()
    assert max(map(len, re.findall(r"f+|x+|d+|s+|l+|e+", page.partition("<script>")[0]))) < 501


def test_the_text_itself_is_still_there(hostile_run):
    text = hostile_run.hostile
    page = hostile_run.card(settings=ModelCardSettings(title=text, config={"name": text}))
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;{{7*7}}" in page
    assert "<img src=x" not in page


def test_specs_are_json_and_cannot_end_their_element(hostile_run):
    page = hostile_run.card()
    specs = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(specs) == 12
    names = {row.get("name") for spec in specs for row in json.loads(spec)["datasets"]["rows"]}
    assert hostile_run.hostile in names
    assert not [spec for spec in specs if "<" in spec or not spec.isascii()]


def test_no_picture_is_read_outside_of_the_evaluation(run):
    assert run.card().count("cannot be read") == 1


def test_a_file_name_that_is_no_text(run):
    rows = [{"file": "broken-\udcff.png", "reason": "empty", "detail": ""}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    run.made["examples"].quarantine_file.write_text(text, encoding="utf-8")
    assert "broken-\\udcff.png" in run.card()
