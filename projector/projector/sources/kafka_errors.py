"""The client's error codes by plain names, and its errors in the words of the ports."""

# ruff: noqa: SLF001 - the client spells the names of its public local error codes with an underscore

from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError

from projector.ports import SourceUnavailable, TopicMissing

END_OF_PARTITION: Final = KafkaError._PARTITION_EOF
OUT_OF_RANGE: Final = KafkaError._AUTO_OFFSET_RESET
TIMED_OUT: Final = KafkaError._TIMED_OUT
NO_GROUP: Final = KafkaError.GROUP_ID_NOT_FOUND
MISSING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
REFUSED: Final = frozenset(
    {
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
DOWN: Final = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL})
"""After these nothing comes until the client says otherwise."""
CONNECTION: Final = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._AUTHENTICATION, KafkaError._SSL})
"""Reports on one connection: the words that explain why all brokers are down."""

_CAUSES = {
    KafkaError._ALL_BROKERS_DOWN: "no broker answers",
    KafkaError._TIMED_OUT: "no answer within the time limit",
    KafkaError._TRANSPORT: "connection failed",
    KafkaError._RESOLVE: "unknown host",
    KafkaError._AUTHENTICATION: "authentication failed",
    KafkaError._SSL: "TLS handshake failed",
    KafkaError.NON_EMPTY_GROUP: "the consumer group has members",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "not allowed to use the consumer group",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "not allowed to read the topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "not allowed to use the cluster",
}


def unavailable(servers: Sequence[str], error: KafkaError, detail: str = "") -> SourceUnavailable:
    """What to tell a person: which brokers, what is wrong, and the client's own words on the last attempt."""
    cause = _CAUSES.get(error.code(), error.str())
    return SourceUnavailable(f"Kafka at {','.join(servers)}: {cause}" + (f" ({detail})" if detail else ""))


def translate(servers: Sequence[str], error: KafkaError, topic: str, detail: str = "") -> Exception:
    """TopicMissing or SourceUnavailable for an error about `topic`."""
    if error.code() in MISSING:
        return TopicMissing(topic)
    return unavailable(servers, error, detail)
