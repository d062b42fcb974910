"""The page in a browser: charts are drawn, and the policy holds."""

import re
import shutil
import subprocess

import pytest

_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_ABSENT = pytest.mark.skipif(_BROWSER is None, reason="needs chromium or google-chrome")
pytestmark = [pytest.mark.slow, _ABSENT]


def _open(file, profile) -> tuple[str, str]:
    """Returns the DOM after all scripts have run, and what the browser complained of."""
    command = [
        _BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=5000",
        "--dump-dom",
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_charts_are_drawn(run, tmp_path):
    run.card()
    dom, complaints = _open(run.folder / "card" / "model_card.html", tmp_path / "profile")
    charts = re.findall(r"<figure data-chart.*?</figure>", dom, re.DOTALL)
    assert complaints == ""
    assert len(charts) == 12
    assert all("<svg " in chart and 'class="marks"' in chart for chart in charts)
    assert not any("could not be drawn" in chart for chart in charts)
    rects = re.findall(r'aria-roledescription="bar"', dom)
    assert len(rects) >= 30 + 10  # classes in three splits, and the bars of the evaluation
    assert len(re.findall(r'aria-roledescription="line mark"', dom)) >= 4
    for label in ("epoch", "validation", "recall", "predicted class", "pixels from the middle"):
        assert f">{label}</text>" in dom


def test_pictures_of_the_data_are_drawn(data_run, tmp_path):
    data_run.card()
    dom, complaints = _open(data_run.folder / "card" / "model_card.html", tmp_path / "profile")
    charts = re.findall(r"<figure data-chart.*?</figure>", dom, re.DOTALL)
    assert complaints == ""
    assert len(charts) == 15
    assert all('class="marks"' in chart for chart in charts)
    (heat,) = [chart for chart in charts if "Where objects are" in chart]
    places = sum(count > 0 for row in data_run.position for count in row)
    assert len(re.findall(r'aria-roledescription="rect mark"', heat)) == 2 * places
    sizes = next(chart for chart in charts if "Object size in its image" in chart)
    assert len(re.findall(r'aria-roledescription="tick"', sizes)) == 2  # the medians of two splits
    assert ">square root of the share of the image</text>" in sizes


@pytest.mark.parametrize("name", ["hostile_run", "hostile_data_run"])
def test_hostile_names_are_only_names(name, request, tmp_path):
    hostile_run = request.getfixturevalue(name)
    hostile_run.card()
    dom, complaints = _open(hostile_run.folder / "card" / "model_card.html", tmp_path / "profile")
    assert complaints == ""
    assert '<img src="x"' not in dom
    assert ">&lt;!--</text>" in dom


def test_a_script_that_got_in_does_not_run(run, tmp_path):
    page = run.card()
    file = run.folder / "tampered.html"
    head, _, tail = page.rpartition("</body>")
    file.write_text(f"{head}<script>document.title = 'owned'</script>\n</body>{tail}", encoding="utf-8")
    dom, complaints = _open(file, tmp_path / "profile")
    assert "<title>owned</title>" not in dom
    assert "Content Security Policy" in complaints
