"""Errors of gRPC calls: a status and one line, never a traceback."""

import asyncio
import functools
import hmac
import typing
from collections.abc import Awaitable, Callable

import grpc
from absl import logging

from conveyor.components.serving.errors import BROKEN, Refused

_Handler = Callable[..., Awaitable[typing.Any]]


def refusing(handler: _Handler) -> _Handler:
    """Returns a method of a servicer that turns errors into statuses."""

    @functools.wraps(handler)
    async def handled(self: typing.Any, request: typing.Any, context: grpc.aio.ServicerContext) -> typing.Any:
        try:
            return await handler(self, request, context)
        except Refused as error:
            await context.abort(error.code, str(error))
        except asyncio.CancelledError:
            raise
        except Exception:  # the boundary: nothing above it could tell the client
            logging.exception("%s failed", handler.__qualname__)
            await context.abort(grpc.StatusCode.INTERNAL, BROKEN)

    return handled


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without the token.

    Args:
        token: Which clients must send in metadata, "authorization: Bearer …".
    """

    def __init__(self, token: str):
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(self, continuation: _Handler, details: grpc.HandlerCallDetails) -> typing.Any:
        """Lets a call through, or ends it."""
        found = dict(details.invocation_metadata).get("authorization", "")
        given = found.encode() if isinstance(found, str) else found
        if hmac.compare_digest(given, self._expected):
            return await continuation(details)
        return grpc.unary_unary_rpc_method_handler(_unauthenticated)


async def _unauthenticated(_: typing.Any, context: grpc.aio.ServicerContext) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "expected metadata 'authorization: Bearer …' with the token of this server",
    )
