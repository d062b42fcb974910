"""Texts that mean harm stay texts."""

import html.parser
import json
import re

from conveyor.components.model_card.settings import ModelCardSettings


class _Tags(html.parser.HTMLParser):
    def __init__(self, page: str):
        super().__init__()
        self.found = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.add((tag, *sorted(name for name, _ in attrs)))


def test_no_text_becomes_markup(run, hostile_run):
    plain, hostile = _Tags(run.card()).found, _Tags(hostile_run.card()).found
    assert hostile == plain


def test_the_text_itself_is_still_there(hostile_run):
    text = hostile_run.hostile
    page = hostile_run.card(settings=ModelCardSettings(title=text, config={"name": text}))
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;{{7*7}}" in page
    assert "<img src=x" not in page


def test_specs_are_json_and_cannot_end_their_element(hostile_run):
    page = hostile_run.card()
    specs = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert len(specs) == 7
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
