"""Imports the Open Inference Protocol's service when it is first called: KServe takes seconds to import."""

import typing

import grpc

from conveyor.components.serving.store import Store

_SERVICE = "/inference.GRPCInferenceService/"


class LazyInferenceService(grpc.GenericRpcHandler):
    """Stands for the service until it is called.

    Args:
        store: The models.
    """

    def __init__(self, store: Store):
        self._store = store
        self._handler: typing.Any = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> typing.Any:
        """Returns what handles a call, None for one of another service."""
        if not handler_call_details.method.startswith(_SERVICE):
            return None
        if self._handler is None:
            from conveyor.components.serving.grpc_v2 import add_service

            catcher = _Catcher()
            add_service(self._store, catcher)
            self._handler = catcher.handler
        return self._handler.service(handler_call_details)


class _Catcher:
    """A server to the code that KServe's protocol was compiled to: it keeps the handler."""

    handler: typing.Any = None

    def add_generic_rpc_handlers(self, handlers: tuple[typing.Any, ...]) -> None:
        (self.handler,) = handlers

    def add_registered_method_handlers(self, *_: typing.Any) -> None:
        """Is told the same once more."""
