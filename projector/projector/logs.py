"""Logs: one JSON object a line on standard output, or readable lines on a terminal; the libraries' logs included."""

import logging
import re
import sys
import time
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REPEAT_SECONDS = 30.0
"""A library's message that differs from an earlier one by numbers only is shown once in this time."""

_NUMBERS = re.compile(r"\d+")
_REMEMBERED = 200
_EXTERNAL = "librdkafka"


class Sparing(logging.Filter):
    """Lets a message pass once in a while: the Kafka client reports each of its many attempts to connect."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show this one."""
        text = _NUMBERS.sub("#", record.getMessage())
        now = time.monotonic()
        if now - self._seen.get(text, float("-inf")) < REPEAT_SECONDS:
            return False
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[text] = now
        return True


def configure(stream: TextIO | None = None, readable: bool = False) -> None:
    """Send all logs to `stream` (standard output), as JSON or, if `readable`, as lines for people."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_readable() if readable else _json()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    external = logging.getLogger(_EXTERNAL)
    external.filters[:] = [Sparing()]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=False)]


def _readable() -> list[Processor]:
    return [_line]


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """`10:31:07 text: key=value, …`, after taking away a progress line that may stand there."""
    moment = str(event.pop("timestamp", ""))[11:19]
    level, text = event.pop("level", ""), event.pop("event", "")
    event.pop("logger", None)
    mark = "" if level == "info" else f"{str(level).upper()} "
    rest = ", ".join(f"{key}={value}" for key, value in event.items())
    return f"\r\x1b[K{moment} {mark}{text}" + (f": {rest}" if rest else "")
