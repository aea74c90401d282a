"""Kafka: one broker that is its own controller, from Maven's artifacts."""

from __future__ import annotations

import re
import socket
import struct
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from . import shell, versions
from .errors import SandboxError
from .paths import Paths, building, write_atomic
from .process import Launch, Service

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sandbox</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_{versions.SCALA}</artifactId>
      <version>{versions.KAFKA}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{versions.LOG4J}</version>
    </dependency>
  </dependencies>
</project>
"""

_LOGGING = """\
status = WARN
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
"""

_JVM = ("-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")


def libraries(paths: Paths) -> Path:
    """Where the broker's jars are cached."""
    return paths.cache / f"kafka-{versions.KAFKA}-{versions.LOG4J}"


def fetch(paths: Paths) -> None:
    """Let Maven copy the broker and all it needs into the cache."""
    target = libraries(paths)
    if target.exists():
        return
    with building(target) as scratch:
        write_atomic(scratch / "pom.xml", _POM)
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime")
        words = ["mvn", "-B", "-q", *goal, f"-DoutputDirectory={scratch / 'libs'}"]
        shell.run(words, cwd=scratch, log=paths.log("kafka-fetch"))


def java_version() -> int:
    """The major version of the machine's Java; 0 without one."""
    try:
        text = shell.run(["java", "--version"])
    except SandboxError:
        return 0
    return parse_java_version(text)


def parse_java_version(text: str) -> int:
    """The major version that `java --version` printed: `openjdk 17.0.15 ...`."""
    found = re.search(r"^\w+ (\d+)", text)
    return int(found[1]) if found else 0


class Kafka(Service):
    """The event log."""

    name = "kafka"
    ports = (
        versions.PORT_KAFKA_HOST,
        versions.PORT_KAFKA_PODS,
        versions.PORT_KAFKA_CONTROLLER,
    )
    needs = ("kafka-jars",)
    stop_timeout = 20.0

    @property
    def _home(self) -> Path:
        return self.paths.state / "kafka"

    def _properties(self) -> str:
        host = f"127.0.0.1:{versions.PORT_KAFKA_HOST}"
        pods = f"{versions.POD_GATEWAY}:{versions.PORT_KAFKA_PODS}"
        controller = f"127.0.0.1:{versions.PORT_KAFKA_CONTROLLER}"
        everywhere = f"POD://0.0.0.0:{versions.PORT_KAFKA_PODS}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"HOST://{host},{everywhere},CONTROLLER://{controller}",
            "advertised.listeners": f"HOST://{host},POD://{pods}",
            "listener.security.protocol.map": ("HOST:PLAINTEXT,POD:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            "inter.broker.listener.name": "HOST",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._home / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "5",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "5",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "5",
            # A killed broker may only come back when its last session has run out; the default is 9 s.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "1000",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def _java(self, main: str, *arguments: str) -> tuple[str, ...]:
        classes = f"{libraries(self.paths) / 'libs'}/*"
        logging = f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}"
        return ("java", *_JVM, logging, "-cp", classes, main, *arguments)

    @property
    def _config(self) -> str:
        return str(self._home / "server.properties")

    def launch(self) -> Launch:
        """The broker's command line."""
        argv = self._java("kafka.Kafka", self._config)
        return Launch(argv, config=(self._properties(), _LOGGING))

    def prepare(self) -> None:
        """Write the configuration and format the log folder once."""
        write_atomic(self._home / "server.properties", self._properties())
        write_atomic(self._home / "log4j2.properties", _LOGGING)
        data = self._home / "data"
        if (data / "meta.properties").exists():
            return
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        format_data = ("format", "--ignore-formatted", "-t", cluster, "-c", self._config)
        words = self._java("kafka.tools.StorageTool", *format_data)
        shell.run(words, log=self.paths.log("kafka-format"))

    def ready(self) -> bool:
        """The broker lists itself, that is, its controller let it in."""
        try:
            return brokers("127.0.0.1", versions.PORT_KAFKA_HOST) > 0
        except (OSError, struct.error):
            return False


def brokers(host: str, port: int, timeout: float = 2.0) -> int:
    """How many brokers a metadata request (version 4, no topics) returns."""
    client = b"sandbox"
    header = struct.pack(">hhih", 3, 4, 1, len(client)) + client
    request = header + struct.pack(">i?", 0, False)
    with socket.create_connection((host, port), timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            return parse_brokers(answer.read(size))


def parse_brokers(answer: bytes) -> int:
    """The length of the array after correlation id and throttle time."""
    (count,) = struct.unpack_from(">i", answer, 8)
    return int(count)
