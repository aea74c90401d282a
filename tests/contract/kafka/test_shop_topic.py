"""The shop's generator on a topic that was made a moment ago, when its partitions have no leaders yet."""

import uuid

from confluent_kafka.admin import AdminClient

from examples.shop import generator

TOPICS = 20  # of sixty new topics that were asked at once four did not answer


def test_a_topic_made_a_moment_ago_has_ends(kafka: str) -> None:
    names = [f"shop-{uuid.uuid4().hex[:10]}" for _ in range(TOPICS)]
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    try:
        assert [generator.create_topic(kafka, name) for name in names] == [True] * TOPICS
        assert [generator.ends(kafka, name) for name in names] == [
            dict.fromkeys(range(generator.PARTITIONS), 0)
        ] * TOPICS
        assert not generator.create_topic(kafka, names[0])
    finally:
        for deleted in admin.delete_topics(names).values():
            deleted.result(30)
