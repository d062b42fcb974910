"""Versions that come, go and are broken, while requests go on."""

import threading
import time

import requests
from served_models import b64, mean, png, save_means


def by_version(client):
    return {one["version"]: one for one in client.get("/v1/models/m").json()["model_version_status"]}


def eventually(check, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_new_versions_are_served_and_broken_ones_are_not(start, tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    save_means(base / "1")
    client = start({"m": base})
    assert mean(client) == 10

    (base / "2").mkdir()
    (base / "2" / "saved_model.pb").write_bytes(b"no graph")
    state = eventually(lambda: by_version(client).get("2"))
    assert state["state"] == "END"
    assert state["status"]["error_code"] == "INTERNAL"
    assert state["status"]["error_message"] == "the version cannot be loaded; the server's log says why"
    asked = client.post("/v1/models/m/versions/2:predict", {"instances": [b64(png(10))]})
    assert asked.status_code == 404
    assert "it is there, but the version cannot be loaded" in asked.json()["error"]
    assert str(tmp_path) not in asked.text
    assert mean(client) == 10
    eventually(lambda: 'conveyor_version_broken{model="m",version="2"} 1.0' in client.get("/metrics").text)

    save_means(base / "3", 3.0)
    eventually(lambda: mean(client) == 13)
    eventually(lambda: by_version(client)["1"]["state"] == "END")
    gone = client.post("/v1/models/m/versions/1:predict", {"instances": [b64(png(10))]})
    assert gone.status_code == 404
    eventually(lambda: 'conveyor_version_served{model="m",version="1"} 0.0' in client.get("/metrics").text)


def test_a_broken_version_is_tried_again_when_it_changes(start, tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    save_means(base / "1")
    client = start({"m": base})
    (base / "2").mkdir()
    (base / "2" / "saved_model.pb").write_bytes(b"half of it")
    eventually(lambda: by_version(client).get("2"))
    whole = save_means(tmp_path / "whole", 50.0)
    for path in sorted(whole.rglob("*")):
        target = base / "2" / path.relative_to(whole)
        target.mkdir(exist_ok=True) if path.is_dir() else target.write_bytes(path.read_bytes())
    eventually(lambda: mean(client) == 60)


def test_no_request_is_dropped_while_versions_change(start, tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    save_means(base / "1", 1.0)
    client = start({"m": base})
    wrong, stop = [], threading.Event()
    seen = set()

    def ask():
        session = requests.Session()
        while not stop.is_set():
            body = {"instances": [b64(png(10))]}
            found = session.post(client.rest + "/v1/models/m:predict", json=body, timeout=30)
            if found.status_code != 200:
                wrong.append(found.text)
            else:
                seen.add(found.json()["predictions"][0]["mean"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in (2, 3, 4):
        save_means(base / str(number), float(number))
        eventually(lambda number=number: mean(client) == 10 + number)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert seen == {11, 12, 13, 14}


def test_an_emptied_folder_is_no_reason_to_stop_answering(start, tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    save_means(base / "1")
    client = start({"m": base})
    (base / "1").rename(tmp_path / "elsewhere")
    time.sleep(0.3)
    assert mean(client) == 10
    (tmp_path / "elsewhere").rename(base / "1")
    base.rename(tmp_path / "gone")
    time.sleep(0.3)
    assert mean(client) == 10
