"""The models that are served: finds versions, loads new ones, lets go of old ones, drops no request."""

import asyncio
import dataclasses
import gc
import pathlib
import tempfile
import typing

from absl import logging
from etils import epath

from conveyor.components.pusher.versions import fetch, list_version, versions
from conveyor.components.serving import meters
from conveyor.components.serving.batcher import Batcher
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.version import Version
from conveyor.pipeline.errors import UserError, did_you_mean

_REMEMBERED = 10  # versions that are not served any more, and are still told of


@dataclasses.dataclass(frozen=True)
class Served:
    """A version that answers."""

    model: str
    number: int
    version: Version
    batcher: Batcher


@dataclasses.dataclass(frozen=True)
class Broken:
    """A version that is there and cannot be served.

    Args:
        reason: Why, without the server's paths: clients see it.
        detail: Why, for who runs the server.
        files: What it was made of; it is tried again when that changes.
    """

    reason: str
    detail: str
    files: typing.Any


class Model:
    """One name, and its versions.

    Args:
        name: What clients call it.
        base: A folder of integer versions, or one SavedModel, which is version 1; local or remote.
        settings: Of the server.
    """

    def __init__(self, name: str, base: str, settings: ServeSettings):
        self.name = name
        self.base = epath.Path(base)
        self.settings = settings
        self.served: dict[int, Served] = {}
        self.broken: dict[int, Broken] = {}
        self.ended: set[int] = set()
        self.trouble = ""  # why the base cannot be looked at

    def find(self, number: int | None) -> Served:
        """Returns a version; the newest one unless told.

        Raises:
            Refused: It is not served.
        """
        wanted = max(self.served, default=None) if number is None else number
        if wanted not in self.served:
            there = ", ".join(map(str, sorted(self.served))) or "none"
            broken = f"; it is there, but {self.broken[wanted].reason}" if wanted in self.broken else ""
            raise Refused(
                404, f"model {self.name!r} has no version {wanted} that is served, but {there}{broken}"
            )
        return self.served[wanted]

    async def refresh(self) -> None:
        """Serves the newest versions that can be loaded, and lets go of others."""
        loop = asyncio.get_running_loop()
        try:
            present = await loop.run_in_executor(None, self._present)
        except Exception as error:  # libraries of object stores have no common base of errors
            if str(error) != self.trouble:
                logging.error("model %s: %s cannot be looked at: %s", self.name, self.base, error)
            self.trouble = str(error) or type(error).__name__
            return
        self.trouble = ""
        wanted: list[int] = []
        for number in present:
            if len(wanted) == self.settings.versions:
                break
            if number in self.served or await self._add(number, present[number]):
                wanted.append(number)
        self.broken = {number: why for number, why in self.broken.items() if number in present}
        if wanted:  # an empty folder is no reason to stop answering
            await asyncio.gather(*(self._remove(number) for number in set(self.served) - set(wanted)))
        self._count()

    def _present(self) -> dict[int, epath.Path]:
        """Returns number -> folder, newest first."""
        if (self.base / "saved_model.pb").exists():
            return {1: self.base}
        return {number: self.base / str(number) for number in versions(self.base)}

    async def _add(self, number: int, folder: epath.Path) -> bool:
        """Loads a version; returns whether it is served."""
        loop = asyncio.get_running_loop()
        known = self.broken.get(number)
        files = await loop.run_in_executor(None, _files, folder)
        if known and known.files == files:
            return False
        try:
            version = await loop.run_in_executor(None, _load, folder)
        except Exception as error:
            reason = error.what if isinstance(error, UserError) else "the version cannot be read"
            detail = f"{error.what}: {error.received}" if isinstance(error, UserError) else str(error)
            self.broken[number] = Broken(f"{reason}; the server's log says why", detail, files)
            logging.error("model %s: version %d is not served: %s", self.name, number, detail)
            return False
        self.broken.pop(number, None)
        batcher = Batcher(version.run, self.settings, f"{self.name}/{number}")
        self.served[number] = Served(self.name, number, version, batcher)
        meters.LOAD_SECONDS.labels(self.name, str(number)).set(version.seconds)
        logging.info("model %s: version %d is served", self.name, number)
        return True

    async def _remove(self, number: int) -> None:
        served = self.served.pop(number)  # new requests go elsewhere
        self.ended.add(number)
        await served.batcher.close()
        meters.LOAD_SECONDS.remove(self.name, str(number))
        del served
        await asyncio.get_running_loop().run_in_executor(None, gc.collect)  # graphs refer to themselves
        logging.info("model %s: version %d is not served any more", self.name, number)

    def _count(self) -> None:
        for number in sorted(self.ended)[:-_REMEMBERED]:
            self.ended.remove(number)
            for meter in (meters.SERVED, meters.BROKEN):
                meter.remove(self.name, str(number))
        for meter, found in ((meters.SERVED, self.served), (meters.BROKEN, self.broken)):
            for number in {*self.served, *self.broken, *self.ended}:
                meter.labels(self.name, str(number)).set(number in found)

    async def close(self) -> None:
        """Lets go of all versions once they have answered."""
        await asyncio.gather(*(self._remove(number) for number in list(self.served)))


class Store:
    """All models of a server.

    Args:
        bases: Name -> base, see `Model`.
        settings: Of the server.
    """

    def __init__(self, bases: dict[str, str], settings: ServeSettings):
        self.models = {name: Model(name, base, settings) for name, base in bases.items()}
        self.settings = settings
        self.is_ready = False

    async def open(self) -> None:
        """Loads all models.

        Raises:
            UserError: One has no version that can be served.
        """
        for model in self.models.values():
            await model.refresh()
            if not model.served:
                raise _nothing_to_serve(model)
        self.is_ready = True

    async def watch(self) -> None:
        """Looks for new versions until it is cancelled."""
        while True:
            await asyncio.sleep(self.settings.poll)
            for model in self.models.values():
                try:
                    await model.refresh()
                except Exception:  # whatever a folder holds, what is served goes on
                    logging.exception("model %s: no look for new versions", model.name)

    async def close(self) -> None:
        """Lets go of all models once they have answered."""
        self.is_ready = False
        await asyncio.gather(*(model.close() for model in self.models.values()))

    def model(self, name: str) -> Model:
        """Returns a model.

        Raises:
            Refused: There is none of that name.
        """
        if name not in self.models:
            raise Refused(404, f"there is no model {name[:100]!r}: {did_you_mean(name[:100], self.models)}")
        return self.models[name]


def _nothing_to_serve(model: Model) -> UserError:
    found = "; ".join(f"version {number}: {why.detail}" for number, why in model.broken.items())
    return UserError(
        "there is no version that can be served",
        expected="a folder with integer versions, or one SavedModel",
        received=model.trouble or found or "no version",
        where=str(model.base),
    )


def _files(folder: epath.Path) -> list[tuple[str, int, float]]:
    """Returns name, size and time of all files of a version."""
    try:
        stats = [(name, (folder / name).stat()) for name in list_version(folder)]
        return [(name, int(stat.length), float(stat.mtime or 0)) for name, stat in stats]
    except OSError:  # it is being removed, or written
        return []


def _load(folder: epath.Path) -> Version:
    with tempfile.TemporaryDirectory() as copy:
        return Version(fetch(folder, pathlib.Path(copy)))
