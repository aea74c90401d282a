"""/healthz, /readyz and /metrics."""

from collections.abc import Callable

from aiohttp import web

from projection_operator.metrics import Metrics


class Probes:
    """A small HTTP server. `ready` gives why not, or None."""

    def __init__(self, metrics: Metrics, ready: Callable[[], str | None], refresh: Callable[[], None]) -> None:
        self._metrics, self._ready, self._refresh = metrics, ready, refresh
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Listen on all addresses."""
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", _health), web.get("/readyz", self._readiness), web.get("/metrics", self._text)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, port=port).start()

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _readiness(self, _request: web.Request) -> web.Response:
        why_not = self._ready()
        return web.Response(text=why_not or "ready\n", status=503 if why_not else 200)

    async def _text(self, _request: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=self._metrics.text(), content_type="text/plain", charset="utf-8")


async def _health(_request: web.Request) -> web.Response:
    # That this answers at all says that the loop turns; a lost Lease ends the process by itself.
    return web.Response(text="ok\n")
