import sqlite3

import pytest

from conveyor.pipeline.errors import UserError
from conveyor.pipeline.metadata import MetadataStore


@pytest.fixture
def store(tmp_path):
    return MetadataStore(tmp_path / "metadata.sqlite")


def record(store, stage, inputs=(), outputs=(), *, key=None, run="run", looks=()):
    """Records a finished execution; artifacts are named by their digests."""
    number = store.start_execution(key or f"key of {stage}", stage, run, {"of": stage})
    made = {name: (name, "Kind", f"artifacts/Kind/{name}") for name in outputs}
    store.finish_execution(number, 1.5, {name: name for name in inputs}, made, list(looks))
    return number


def query(store, sql):
    with sqlite3.connect(store.path) as db:
        found = db.execute(sql).fetchall()
    db.close()
    return found


def test_write_ahead_log_is_on(store):
    assert query(store, "PRAGMA journal_mode") == [("wal",)]


def test_opening_again_keeps_what_is_there(store):
    record(store, "load", outputs=["a"])
    assert MetadataStore(store.path).has_run("load")


# === cache ===


def test_cached_outputs(store):
    record(store, "load", outputs=["a", "b"], key="k")
    assert store.cached_outputs("k") == {
        "a": ("a", "artifacts/Kind/a"),
        "b": ("b", "artifacts/Kind/b"),
    }
    assert store.cached_outputs("other") is None


def test_cached_outputs_of_a_stage_without_any(store):
    record(store, "push", inputs=["a"], key="k")
    assert store.cached_outputs("k") == {}


def test_newest_finished_execution_counts(store):
    record(store, "load", outputs=["old"], key="k")
    record(store, "load", outputs=["new"], key="k")
    store.start_execution("k", "load", "run", {})  # under way, or killed
    store.fail_execution(store.start_execution("k", "load", "run", {}), 1.0, "broken")
    assert set(store.cached_outputs("k")) == {"new"}


def test_failed_execution(store):
    # the message may name a file whose name is not UTF-8
    store.fail_execution(store.start_execution("k", "load", "run", {}), 2.0, "broken: a\udcff.png")
    assert store.cached_outputs("k") is None
    assert not store.has_run("load")
    assert query(store, "SELECT status, seconds, error FROM executions") == [
        ("failed", 2.0, "broken: a\\udcff.png")
    ]


def test_has_run(store):
    store.start_execution("k", "load", "run", {})
    assert not store.has_run("load")
    record(store, "load")
    assert store.has_run("load")
    assert not store.has_run("fit")


def test_execution_is_finished_as_a_whole_or_not_at_all(store):
    number = store.start_execution("k", "load", "run", {})
    with pytest.raises(KeyError):
        store.finish_execution(number, 1.0, {"x": "x"}, {"a": ("a", "Kind", "p")}, [{"split": "test"}])
    assert store.cached_outputs("k") is None
    assert store.find_artifacts("") == []
    assert query(store, "SELECT * FROM events") == []


def test_constraint_is_a_bug_not_a_fault_of_the_user(store):
    record(store, "load", outputs=["a"])
    store.start_run("run", "c", {})
    with pytest.raises(sqlite3.IntegrityError):
        store.start_run("run", "c", {})


# === runs and history ===


def test_runs(store, monkeypatch):
    for second, name in enumerate(["first", "second"]):
        monkeypatch.setattr("time.time", lambda second=second: second)
        store.start_run(name, "digits", {})
    store.finish_run("first", {"metrics": {}})
    assert [(run["name"], run["config"], run["summary"]) for run in store.runs()] == [
        ("second", "digits", None),
        ("first", "digits", {"metrics": {}}),
    ]


def test_find_artifacts_by_prefix(store):
    record(store, "load", outputs=["abc", "abd", "b%c", "b_d", "b\\"])
    found = {
        prefix: [a["digest"] for a in store.find_artifacts(prefix)]
        for prefix in ("ab", "b%", "b_", "b\\", "x")
    }
    assert found == {"ab": ["abc", "abd"], "b%": ["b%c"], "b_": ["b_d"], "b\\": ["b\\"], "x": []}


def test_lineage_of_a_diamond(store):
    record(store, "load", outputs=["data"])
    record(store, "left", ["data"], ["l"])
    record(store, "right", ["data"], ["r"])
    record(store, "unrelated", ["data"], ["u"])
    record(store, "join", ["l", "r"], ["j"])
    lineage = store.lineage(["j"])
    assert [step["stage"] for step in lineage] == ["join", "right", "left", "load"]
    assert (lineage[0]["inputs"], lineage[0]["outputs"]) == ({"l": "l", "r": "r"}, {"j": "j"})
    assert lineage[0]["settings"] == {"of": "join"}
    assert {"key", "run", "started", "seconds"} <= set(lineage[0])
    assert store.lineage([]) == store.lineage(["nowhere"]) == []


def test_lineage_names_who_made_an_artifact_first(store):
    record(store, "load", outputs=["data"], run="first")
    record(store, "load", outputs=["data"], run="second")
    failed = store.start_execution("k", "load", "third", {})
    store.fail_execution(failed, 1.0, "")
    assert [step["run"] for step in store.lineage(["data"])] == ["first"]


def test_looks_are_counted(store):
    test = {"examples": "data", "split": "test", "purpose": "report"}
    for look in (
        test,
        test,
        {**test, "purpose": "choose"},
        {**test, "split": "train"},
        {**test, "examples": "x"},
    ):
        record(store, "judge", looks=[look])
    assert store.looks("data", "test", "report") == 2
    assert store.looks("data", "test", "choose") == 1
    assert store.looks("data", "validation", "report") == 0


def test_lineage_numbers_the_looks_and_a_number_never_changes(store):
    test = {"examples": "data", "split": "test", "purpose": "report"}
    others = [{**test, "split": "train"}, {**test, "purpose": "choose"}, {**test, "examples": "x"}]
    store.add_look("data", "test", "report")
    for name in ("first", "second"):
        record(store, "judge", outputs=[name], looks=[*others, test])
        record(store, "judge", outputs=["other"], looks=others)
    told = {"split": "test", "purpose": "report"}
    for name, number in (("first", 2), ("second", 3), ("first", 2)):
        looks = store.lineage([name])[0]["looks"]
        assert looks[-1] == {**told, "number": number}
        assert len(looks) == 4


# === file digests ===


def test_known_files(store):
    store.remember_files([("/a", 1, 10, "x"), ("/b", 2, 20, "y")])
    store.remember_files([("/b", 3, 1 << 62, "z")])
    assert store.known_files(["/a", "/b", "/c"]) == {"/a": (1, 10, "x"), "/b": (3, 1 << 62, "z")}


def test_more_files_than_sqlite_takes_at_once(store):
    rows = [(f"/{number}", number, 0, "d") for number in range(70_000)]
    store.remember_files(rows)
    assert store.known_files([row[0] for row in rows]) == {path: tuple(rest) for path, *rest in rows}


def test_file_name_that_is_not_utf8(store):
    store.remember_files([("/a\udcff", 1, 2, "x")])
    assert store.known_files(["/a\udcff"]) == {"/a\udcff": (1, 2, "x")}


# === a store that cannot be used ===


def test_full_disk_is_told_to_the_user(store, monkeypatch):
    def connect(*args, real=sqlite3.connect, **options):
        db = real(*args, **options)
        db.execute("PRAGMA max_page_count = 1")  # no larger than it is now
        return db

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(UserError, match="disk is full") as caught:
        store.remember_files([(str(number) * 100, 1, 1, "d" * 100) for number in range(1000)])
    assert caught.value.where == str(store.path)
    assert "free space" in caught.value.fix


def test_damaged_store_is_told_to_the_user(tmp_path):
    path = tmp_path / "metadata.sqlite"
    path.write_bytes(b"these are no records" * 100)
    with pytest.raises(UserError, match="file is not a database"):
        MetadataStore(path)


def test_store_where_there_is_no_folder(tmp_path):
    with pytest.raises(UserError, match="unable to open database file"):
        MetadataStore(tmp_path / "none" / "metadata.sqlite")
