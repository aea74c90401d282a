"""What clients raise, in the words of reasons."""

import re
from collections.abc import Sequence

from projection_operator.core.lag import topic_field
from projection_operator.core.observation import TAKE_OVER, Unknown
from projection_operator.core.reasons import Reason
from projector.ports import SourceUnavailable, StoreUnavailable, TopicMissing
from projector.registry import (
    Deposed,
    ForeignRegistry,
    NotPermitted,
    RegistryError,
    SwapWaiting,
    TargetTaken,
    WrongState,
)

_NO_ANSWER = "no answer within the time limit"

# PostgreSQL tells these apart in words only: a refused login has no SQLSTATE on the client's side.
_REFUSED_LOGIN = re.compile(
    r"password authentication failed|no password|no pg_hba\.conf entry|role .* (does not exist|is not permitted)"
    r"|authentication failed"
)
_BAD_URI = re.compile(r"connection URI cannot be read")
_NO_DATABASE = re.compile(r"database .* does not exist")


class Failure(Exception):
    """An act that did not succeed, with what to tell the user."""

    def __init__(self, unknown: Unknown) -> None:
        self.unknown = unknown
        super().__init__(unknown.message)


def of_login(error: Exception, where: str) -> Unknown:
    """Why a target could not be reached with the Secret that `where` names."""
    if isinstance(error, TimeoutError):
        return Unknown(Reason.TARGET_UNAVAILABLE, f"{where}: {_NO_ANSWER}")
    text = str(error)
    if isinstance(error, NotPermitted):
        return Unknown(Reason.NOT_PERMITTED, f"{where}: {text}")
    if _REFUSED_LOGIN.search(text):
        return Unknown(Reason.AUTHENTICATION_FAILED, f"{where}: {text}")
    if _BAD_URI.search(text):
        return Unknown(Reason.SECRET_INVALID, f"{where}: {text}")
    if _NO_DATABASE.search(text) or isinstance(error, RegistryError):
        return Unknown(Reason.TARGET_UNSUITABLE, f"{where}: {text}")
    return Unknown(Reason.TARGET_UNAVAILABLE, f"{where}: {text}")


def of_act(error: Exception, where: str) -> Unknown:
    """Why an act on the registry failed."""
    match error:
        case TargetTaken():
            return Unknown(Reason.TARGET_TAKEN, f"spec.target.postgresql.table: {error}")
        case ForeignRegistry():
            way_out = f"If that one is gone for good, annotate with {TAKE_OVER}={error.owner}"
            return Unknown(Reason.FOREIGN_REGISTRY, f"{where}: {error}. {way_out}")
        case Deposed():
            return Unknown(Reason.DEPOSED, f"{where}: {error}")
        case SwapWaiting():
            return Unknown(Reason.SWAP_WAITING, f"the swap was tried and changed nothing: {error}")
        case WrongState():
            return Unknown(Reason.OUT_OF_STEP, f"{where}: {error}")
        case _:
            return of_login(error, where)


def of_source(error: Exception, servers: str, topics: Sequence[str]) -> Unknown:
    """Why the log could not be read; `topics` as the spec names them."""
    if isinstance(error, TopicMissing):
        return Unknown(Reason.TOPIC_MISSING, f"{topic_field(topics, error.topic)}: {error} on {servers}")
    text = _NO_ANSWER if isinstance(error, TimeoutError) else str(error)
    named = text if servers in text else f"{servers}: {text}"
    return Unknown(Reason.SOURCE_UNAVAILABLE, f"spec.source.kafka.bootstrapServers: {named}")


TARGET_ERRORS = (StoreUnavailable, RegistryError, TimeoutError)
SOURCE_ERRORS = (SourceUnavailable, TopicMissing, TimeoutError)
"""What clients raise by their contracts; anything else is a fault of ours and goes up."""
