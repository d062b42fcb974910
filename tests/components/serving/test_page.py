"""The page in a browser: an image is chosen, and what the model makes of it is drawn."""

import base64

import browser
import pytest
from served_models import png, save_everything

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.PROGRAM is None, reason="needs chromium")]
ASKED = "document.querySelector('#say').textContent"


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "image.png"
    file.write_bytes(png(200))
    return file


def test_everything_is_drawn(start, tmp_path, image):
    client = start({"all": save_everything(tmp_path / "1").parent})
    with browser.Browser(tmp_path / "profile", client.rest) as page:
        page.until("document.querySelectorAll('#model option').length")
        assert page.value("document.querySelector('#model').value") == "all"
        page.choose("#file", image)
        page.until(f"{ASKED}.startsWith('answered in')")
        text = page.value("document.querySelector('#answer').innerText")
        assert "bright" in text.splitlines()[0]  # the most probable class comes first
        assert "75.0%" in text
        assert "1 found with a score of 0.5 or more" in text
        assert "0.900" in text
        assert "0.200" not in text
        assert "anomaly score 0.1250: an anomaly" in text
        assert page.value("document.querySelectorAll('#regions tr').length") == 2
        assert page.complaints == []
        assert page.value("document.querySelector('#reconstruction').width") == 4
        assert _pixel(page, "#reconstruction", 1, 1) == [128, 128, 128]
        scale = page.value("document.querySelector('#picture').width") // 4
        assert _pixel(page, "#picture", int(3.5 * scale), scale // 2) == [200, 200, 200]  # no box, class 0
        assert _pixel(page, "#picture", scale, 0) != [200, 200, 200]  # the edge of the box
        assert _pixel(page, "#picture", int(3.5 * scale), int(3.5 * scale)) != [200, 200, 200]  # class 1
        assert "4 x 4 pixels" in page.value("document.querySelector('#facts').textContent")


def _pixel(page, selector, x, y):
    script = f"[...document.querySelector('{selector}').getContext('2d').getImageData({x}, {y}, 1, 1).data]"
    return page.value(script)[:3]


def test_dropping_and_pasting(start, tmp_path, image, means):
    client = start({"m": means})
    with browser.Browser(tmp_path / "profile", client.rest) as page:
        page.until("document.querySelectorAll('#model option').length")
        data = base64.b64encode(image.read_bytes()).decode()
        transfer = (
            f"const data = Uint8Array.from(atob('{data}'), letter => letter.charCodeAt(0));"
            "const transfer = new DataTransfer();"
            "transfer.items.add(new File([data], 'dropped.png', {type: 'image/png'}));"
        )
        for event in (
            "document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {dataTransfer: transfer}))",
            "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: transfer}))",
        ):
            page.value("document.querySelector('#json').textContent = ''")
            page.value(f"(() => {{ {transfer} {event}; return 1; }})()")
            found = page.until("document.querySelector('#json').textContent")
            assert '"mean": 300' in found


def test_what_is_wrong_is_said(start, tmp_path, means):
    client = start({"m": means}, token="0123456789abcdef")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"<b>no image</b>")
    with browser.Browser(tmp_path / "profile", client.rest) as page:
        assert "token of this server" in page.until(ASKED)
        page.until("!document.querySelector('#secret').hidden")
        page.value(
            "(() => { const token = document.querySelector('#token'); token.value = '0123456789abcdef';"
            " token.dispatchEvent(new Event('change')); })()"
        )
        page.until("document.querySelectorAll('#model option').length")
        page.choose("#file", bad)
        assert "is no image" in page.until(f"{ASKED}.includes('image:') && {ASKED}")
        assert page.value("document.querySelector('#result').hidden")
