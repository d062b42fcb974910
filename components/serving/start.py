"""Starts the model server beside the caller's thread."""

import concurrent.futures
import threading

from conveyor.components.serving.settings import ServeSettings


class Server:
    """A server that runs in a thread of its own.

    Args:
        bases: Name -> folder of versions, see `Model`.
        settings: Where to listen, and limits.
        token: Which clients must send, "" for none.

    Raises:
        UserError: A model has no version that can be served, or a port is taken.
    """

    def __init__(self, bases: dict[str, str], settings: ServeSettings, token: str = ""):
        from conveyor.components.serving.server import Running, run_loop

        ready: concurrent.futures.Future[Running] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=run_loop, args=(bases, settings, token, ready), name="serve", daemon=True
        )
        self._thread.start()
        self._running = ready.result()
        self.addresses = self._running.addresses

    def stop(self) -> None:
        """Tells it to answer what is under way and to end."""
        self._running.stop()

    def wait(self) -> None:
        """Returns once it has ended.

        Raises:
            Exception: Whatever ended it, if nobody told it to.
        """
        self._thread.join()
        self._running.outcome.result()


def start(models: list[str], settings: ServeSettings, token: str = "") -> Server:
    """Starts a server of what a user named.

    Args:
        models: `NAME=BASE` or `BASE` each.
        settings: Where to listen, and limits.
        token: Which clients must send, "" for none.

    Raises:
        UserError: A name is odd, there is nothing to serve, or a port is taken.
    """
    from conveyor.components.serving.names import name_bases

    return Server(name_bases(models), settings, token)
