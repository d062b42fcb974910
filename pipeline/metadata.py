"""The metadata store: what ran, what it read and made, and who looked at which labels.

One SQLite file in WAL mode; every write is one short transaction, so concurrent runs may share it.
"""

import contextlib
import json
import os
import pathlib
import sqlite3
import time
import typing
from collections.abc import Iterator, Mapping

from conveyor.pipeline.errors import UserError
from conveyor.pipeline.lock import locked

_SCHEMA = """
CREATE TABLE IF NOT EXISTS artifacts (
    digest TEXT PRIMARY KEY, type TEXT NOT NULL, path TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS executions (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, stage TEXT NOT NULL, run TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    started REAL NOT NULL, seconds REAL, settings TEXT NOT NULL, error TEXT);
CREATE INDEX IF NOT EXISTS executions_by_key ON executions (key, status);
CREATE TABLE IF NOT EXISTS events (
    execution INTEGER NOT NULL REFERENCES executions (id), artifact TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')), name TEXT NOT NULL,
    PRIMARY KEY (execution, direction, name));
CREATE INDEX IF NOT EXISTS events_by_artifact ON events (artifact, direction);
CREATE TABLE IF NOT EXISTS runs (
    name TEXT PRIMARY KEY, config TEXT NOT NULL, settings TEXT NOT NULL, started REAL NOT NULL,
    summary TEXT);
CREATE TABLE IF NOT EXISTS looks (
    execution INTEGER REFERENCES executions (id), examples TEXT NOT NULL,
    split TEXT NOT NULL, purpose TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, bytes INTEGER NOT NULL, mtime INTEGER NOT NULL, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run_artifacts (
    run TEXT NOT NULL REFERENCES runs (name), artifact TEXT NOT NULL,
    stage TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (run, stage, name));
CREATE INDEX IF NOT EXISTS runs_by_config ON runs (config, started);
"""


class MetadataStore:
    """Records of artifacts, executions, events, runs and looks.

    Args:
        path: The SQLite file; made when absent.

    Raises:
        UserError: SQLite cannot use the file (any method): disk full, no permission, damaged.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        if not self._query("SELECT 1 FROM sqlite_master WHERE name = 'runs_by_config'"):
            # SQLite fails at once, whatever its timeout, when two change the journal mode together
            with locked(path.with_suffix(".lock")), self._transaction() as db:
                for statement in ("PRAGMA journal_mode = WAL", *_SCHEMA.split(";")):
                    db.execute(statement)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as db, db:
                db.row_factory = sqlite3.Row
                yield db
        except sqlite3.DatabaseError as error:
            if type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise  # a bug, such as a broken constraint
            raise UserError(
                f"the metadata store cannot be used: {error}",
                where=str(self.path),
                fix="check free space and permissions, or choose another --workspace",
            ) from error

    def _query(self, sql: str, *values: typing.Any) -> list[dict[str, typing.Any]]:
        with self._transaction() as db:
            return [dict(row) for row in db.execute(sql, values)]

    # === executions ===

    def start_execution(self, key: str, stage: str, run: str, settings: typing.Any) -> int:
        """Records that a stage begins; returns the execution's number."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO executions (key, stage, run, status, started, settings)"
                " VALUES (?, ?, ?, 'running', ?, ?)",
                (key, stage, run, time.time(), json.dumps(settings)),
            )
            return int(cursor.lastrowid or 0)

    def finish_execution(
        self,
        execution: int,
        seconds: float,
        inputs: Mapping[str, str],
        outputs: Mapping[str, tuple[str, str, str]],
        looks: list[dict[str, str]],
    ) -> None:
        """Records a finished execution with its artifacts, all or nothing.

        Args:
            execution: Its number.
            seconds: How long it took.
            inputs: Input name -> digest.
            outputs: Output name -> (digest, type, path).
            looks: Each with `examples`, `split` and `purpose`.
        """
        now = time.time()
        with self._transaction() as db:
            db.execute(
                "UPDATE executions SET status = 'done', seconds = ? WHERE id = ?", (seconds, execution)
            )
            db.executemany(
                "INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?, ?)",
                [(digest, kind, path, now) for digest, kind, path in outputs.values()],
            )
            events = [(execution, digest, "in", name) for name, digest in inputs.items()]
            events += [(execution, out[0], "out", name) for name, out in outputs.items()]
            db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", events)
            db.executemany(
                "INSERT INTO looks VALUES (?, ?, ?, ?, ?)",
                [(execution, x["examples"], x["split"], x["purpose"], now) for x in looks],
            )

    def fail_execution(self, execution: int, seconds: float, error: str) -> None:
        """Records that an execution failed."""
        error = error.encode("utf-8", "backslashreplace").decode()  # it may name a file that is not UTF-8
        with self._transaction() as db:
            db.execute(
                "UPDATE executions SET status = 'failed', seconds = ?, error = ? WHERE id = ?",
                (seconds, error, execution),
            )

    def has_run(self, stage: str) -> bool:
        """Whether any execution of a stage was ever finished here."""
        sql = "SELECT 1 FROM executions WHERE stage = ? AND status = 'done' LIMIT 1"
        return bool(self._query(sql, stage))

    def cached_outputs(self, key: str) -> dict[str, tuple[str, str]] | None:
        """Returns output name -> (digest, path) of the newest finished execution of a key."""
        rows = self._query(
            "SELECT id FROM executions WHERE key = ? AND status = 'done' ORDER BY id DESC LIMIT 1", key
        )
        if not rows:
            return None
        events = self._query(
            "SELECT name, digest, path FROM events JOIN artifacts ON artifact = digest"
            " WHERE execution = ? AND direction = 'out'",
            rows[0]["id"],
        )
        return {event["name"]: (event["digest"], event["path"]) for event in events}

    # === runs and history ===

    def start_run(self, name: str, config: str, settings: Mapping[str, typing.Any]) -> None:
        """Records that a run of the named config begins, with all its settings."""
        row = (name, config, json.dumps(settings), time.time())
        with self._transaction() as db:
            db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, NULL)", row)

    def finish_run(self, name: str, summary: dict[str, typing.Any]) -> None:
        """Records a run's summary."""
        with self._transaction() as db:
            db.execute("UPDATE runs SET summary = ? WHERE name = ?", (json.dumps(summary), name))

    def record_artifacts(self, run: str, outputs: Mapping[str, Mapping[str, str]]) -> None:
        """Records what a run has, made or from the cache: stage -> output name -> digest."""
        rows = [(run, made[name], stage, name) for stage, made in outputs.items() for name in made]
        with self._transaction() as db:
            db.executemany("INSERT INTO run_artifacts VALUES (?, ?, ?, ?)", rows)

    def past_runs(self, config: str) -> Iterator[tuple[dict[str, typing.Any], list[dict[str, typing.Any]]]]:
        """Yields (summary, artifacts) of the runs of a config that have ended, newest first."""
        rows = self._query(
            "SELECT name, summary FROM runs WHERE config = ? AND summary IS NOT NULL"
            " ORDER BY started DESC, rowid DESC",
            config,
        )
        for row in rows:
            artifacts = self._query(
                "SELECT artifacts.* FROM run_artifacts JOIN artifacts ON artifact = digest WHERE run = ?"
                " ORDER BY run_artifacts.rowid",
                row["name"],
            )
            yield json.loads(row["summary"]), artifacts

    def runs(self) -> list[dict[str, typing.Any]]:
        """Returns all runs, newest first; `summary` is None for one that was cut short."""
        rows = self._query("SELECT * FROM runs ORDER BY started DESC, name")
        parsed = ("settings", "summary")
        return [{**row, **{key: json.loads(row[key] or "null") for key in parsed}} for row in rows]

    def find_artifacts(self, prefix: str) -> list[dict[str, typing.Any]]:
        """Returns the artifacts whose digest starts with `prefix`."""
        pattern = prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        return self._query("SELECT * FROM artifacts WHERE digest LIKE ? ESCAPE '\\'", pattern)

    def lineage(self, digests: list[str]) -> list[dict[str, typing.Any]]:
        """Returns the executions that led to the given artifacts, newest first.

        Returns:
            Dicts with `stage`, `key`, `run`, `seconds`, `settings`, `inputs` and `outputs` (name ->
            digest), and `looks`: {`split`, `purpose`, `number`}, where number counts the uses of the same
            labels for that purpose up to this one. It never changes, so a stage may tell it.
        """
        found: dict[int, dict[str, typing.Any]] = {}
        wanted = list(digests)
        while wanted:
            digest = wanted.pop()
            rows = self._query(
                "SELECT executions.* FROM executions JOIN events ON execution = id"
                " WHERE artifact = ? AND direction = 'out' AND status = 'done' ORDER BY id LIMIT 1",
                digest,
            )
            for row in rows:
                if row["id"] not in found:
                    found[row["id"]] = record = self._execution_record(row)
                    wanted += record["inputs"].values()
        return [found[number] for number in sorted(found, reverse=True)]

    def _execution_record(self, row: dict[str, typing.Any]) -> dict[str, typing.Any]:
        events = self._query("SELECT * FROM events WHERE execution = ? ORDER BY name", row["id"])
        record = {key: row[key] for key in ("stage", "key", "run", "started", "seconds")}
        record["settings"] = json.loads(row["settings"])
        for direction in ("in", "out"):
            record[f"{direction}puts"] = {
                event["name"]: event["artifact"] for event in events if event["direction"] == direction
            }
        record["looks"] = self._query(
            "SELECT split, purpose, (SELECT COUNT(*) FROM looks AS past WHERE past.examples = looks.examples"
            " AND past.split = looks.split AND past.purpose = looks.purpose AND past.rowid <= looks.rowid)"
            " AS number FROM looks WHERE execution = ? ORDER BY rowid",
            row["id"],
        )
        return record

    def add_look(self, examples: str, split: str, purpose: str) -> None:
        """Records a use of the labels of a split that was no part of an execution."""
        with self._transaction() as db:
            db.execute("INSERT INTO looks VALUES (NULL, ?, ?, ?, ?)", (examples, split, purpose, time.time()))

    def looks(self, examples: str, split: str, purpose: str) -> int:
        """Returns how often the labels of a split of an Examples artifact were used for a purpose."""
        rows = self._query(
            "SELECT COUNT(*) AS n FROM looks WHERE examples = ? AND split = ? AND purpose = ?",
            examples,
            split,
            purpose,
        )
        return int(rows[0]["n"])

    # === file digests ===

    def known_files(self, paths: list[str]) -> dict[str, tuple[int, int, str]]:
        """Returns path -> (bytes, mtime in ns, digest) of the files seen before."""
        found = {}
        with self._transaction() as db:
            for start in range(0, len(paths), 30_000):  # SQLite's limit on bound values is 32,766
                some = [os.fsencode(path) for path in paths[start : start + 30_000]]
                marks = ",".join("?" * len(some))
                sql = f"SELECT path, bytes, mtime, digest FROM files WHERE path IN ({marks})"  # noqa: S608
                found.update({os.fsdecode(row[0]): (row[1], row[2], row[3]) for row in db.execute(sql, some)})
        return found

    def remember_files(self, rows: list[tuple[str, int, int, str]]) -> None:
        """Records (path, bytes, mtime in ns, digest) of files."""
        with self._transaction() as db:
            encoded = [(os.fsencode(path), *facts) for path, *facts in rows]
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", encoded)
