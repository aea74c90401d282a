"""Probes and metrics over HTTP, in a thread of their own, so that a long commit does not look like a dead loop."""

import asyncio
import threading

from aiohttp import web

from projector.metrics import Metrics
from projector.worker.health import TURNS_WITHIN, Health

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class ProbeServer:
    """Serves /healthz, /readyz and /metrics on all interfaces. Port 0 takes a free one; see `port`."""

    def __init__(self, port: int, health: Health, metrics: Metrics) -> None:
        self.port = port
        self._health = health
        self._metrics = metrics
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="probes", daemon=True)
        self._bound = threading.Event()
        self._failure: OSError | None = None

    def start(self) -> None:
        """Bind and serve. Raises OSError where the port is taken."""
        self._thread.start()
        self._bound.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        runner = web.AppRunner(self._application(), access_log=None)
        try:
            self._loop.run_until_complete(self._bind(runner))
        except OSError as error:
            self._failure = error
        self._bound.set()
        if self._failure is None:
            self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _bind(self, runner: web.AppRunner) -> None:
        await runner.setup()
        await web.TCPSite(runner, port=self.port).start()
        self.port = runner.addresses[0][1]

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._expose)
        return application

    async def _healthz(self, _request: web.Request) -> web.Response:
        if self._health.alive:
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"the worker's loop did not turn for {TURNS_WITHIN:.0f} s\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        reason = self._health.reason
        return web.Response(text="ok\n") if reason is None else web.Response(status=503, text=f"{reason}\n")

    async def _expose(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": _EXPOSITION})
