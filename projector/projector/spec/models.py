"""Pydantic models of `spec` of a Projection: the one truth from which the CRD is generated.

Field names in YAML are camelCase; unknown fields are refused. Only what works is here: a field that nothing reads yet
is not accepted. Checks that need more than one field, or that count bytes, live in `projector.spec.checks`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from projector.spec.base import Model
from projector.spec.rollout import Promotion, Rebuild, Rollback
from projector.spec.selectors import Selector

Expression = Annotated[str, Field(min_length=1, max_length=1024)]
"""Source text of an expression in the CEL subset."""

ColumnName = Annotated[str, Field(min_length=1, max_length=63)]
EventType = Annotated[str, Field(min_length=1, max_length=253)]
Assignments = Annotated[dict[ColumnName, Expression], Field(min_length=1, max_length=50)]
"""Column name to expression."""

Place = Annotated[str, Field(pattern=r"^(header|event)\.[A-Za-z_][A-Za-z0-9_-]*$", max_length=253)]
"""`header.<name>`, or `event.<field>` of the decoded value."""

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=249)]
SecretName = Annotated[str, Field(min_length=1, max_length=253)]

ColumnType = Literal[
    "text",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "double precision",
    "boolean",
    "timestamptz",
    "date",
    "uuid",
    "jsonb",
]


class SecretRef(Model):
    """A key of a Secret in the namespace of the Projection."""

    name: SecretName
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key that holds a PostgreSQL URI.")] = "uri"


class CredentialsRef(Model):
    """A key of a Secret in the namespace of the Projection."""

    name: SecretName
    key: Annotated[
        str, Field(min_length=1, max_length=253, description="Key that holds user:password for basic authentication.")
    ] = "credentials"


class SchemaRegistry(Model):
    """Where the schemas of Avro and Protobuf values are kept: a server of the Confluent schema registry's HTTP API."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$", max_length=1024, description="Where it answers.")]
    credentials_secret_ref: Annotated[
        CredentialsRef | None, Field(description="User and password. Default: none are sent.")
    ] = None


class KafkaSource(Model):
    """Kafka topics as the log."""

    bootstrap_servers: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=260)], ...],
        Field(min_length=1, max_length=20, description="Brokers to ask first, as host:port."),
    ]
    topics: Annotated[
        tuple[TopicName, ...], Field(min_length=1, max_length=20, description="The topics that hold the events.")
    ]
    format: Annotated[Literal["JSON", "Avro", "Protobuf"], Field(description="How a record's value is encoded.")] = (
        "JSON"
    )
    schema_registry: Annotated[
        SchemaRegistry | None, Field(description="Where the schemas of Avro and Protobuf values are kept.")
    ] = None
    type: Annotated[
        Place,
        Field(description="Where the event type stands: header.<name>, or event.<field> of the decoded value."),
    ] = "header.ce_type"
    event_version: Annotated[
        Place | None,
        Field(description="Where an event's schema version stands, a whole number; an event without one has 1."),
    ] = None


class Source(Model):
    """Where the events come from: exactly one kind of log."""

    kafka: KafkaSource
    allow_partial_history: Annotated[
        str,
        Field(
            max_length=1024,
            description="Why a log without its first events is good enough to build from. Default: it is not.",
        ),
    ] = ""


class Column(Model):
    """One column of the read model."""

    name: ColumnName
    type: ColumnType
    default: Annotated[
        str | None,
        Field(
            max_length=1024,
            description="Value of a new row where no rule sets one, as PostgreSQL text. NULL if absent.",
        ),
    ] = None


class Index(Model):
    """A secondary index of the table."""

    columns: Annotated[
        tuple[ColumnName, ...], Field(min_length=1, max_length=16, description="Its columns, in their order.")
    ]
    method: Annotated[
        Literal["btree", "gin", "brin", "hash"], Field(description="As in CREATE INDEX; gin serves jsonb columns.")
    ] = "btree"

    def __str__(self) -> str:
        return f"{'' if self.method == 'btree' else f'{self.method} '}({', '.join(self.columns)})"


class PostgresqlTarget(Model):
    """A table in PostgreSQL as the read model."""

    connection_secret_ref: Annotated[SecretRef, Field(description="Role of the workers: reads and writes rows.")]
    admin_secret_ref: Annotated[
        SecretRef | None, Field(description="Role of the operator: creates tables and views. Default: the same.")
    ] = None
    db_schema: Annotated[
        str, Field(alias="schema", min_length=1, max_length=63, description="Schema of the public name.")
    ] = "public"
    table: Annotated[str, Field(min_length=1, max_length=50, description="Public name that readers query (a view).")]
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=200)]
    key: Annotated[
        tuple[ColumnName, ...], Field(min_length=1, max_length=16, description="Columns of the primary key.")
    ]
    indexes: Annotated[
        tuple[Index, ...],
        Field(max_length=20, description="Secondary indexes. Not part of the version: changed in place."),
    ] = ()


class Target(Model):
    """Where the read model lives: exactly one kind of store."""

    postgresql: PostgresqlTarget


class Rule(Model):
    """What one or more event types do to one row, or to one row per item of a list."""

    events: Annotated[
        tuple[EventType, ...],
        Field(
            min_length=1,
            max_length=50,
            description="Event types, or versions of them (OrderPlaced@>=2); (tombstone): records without a value.",
        ),
    ]
    for_each: Annotated[
        Expression | None, Field(description="A list; the rule applies once for each of its elements, as `item`.")
    ] = None
    key: Annotated[Assignments, Field(description="Value of each key column.")]
    when: Annotated[Expression | None, Field(description="The rule applies only where this is true.")] = None
    set: Assignments | None = None
    increment: Assignments | None = None
    min: Assignments | None = None
    max: Assignments | None = None
    append: Annotated[Assignments | None, Field(description="One more element of a jsonb column's list.")] = None
    delete: bool = False
    on_missing: Annotated[
        Literal["Create", "Ignore", "Park"], Field(description="What to do where the row does not exist.")
    ] = "Create"

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """`events`, read. Raises ValueError where one is malformed, which `projector.spec.checks` refuses."""
        return tuple(map(Selector.parse, self.events))


class Ordering(Model):
    """What makes the order in which events of one row apply the same in every run."""

    mode: Annotated[
        Literal["PerKey", "Commutative", "Guarded"],
        Field(
            description="PerKey: all events of a row are in one partition. Commutative: their order does not matter. "
            "Guarded: the event with the greatest `by` wins."
        ),
    ] = "PerKey"
    by: Annotated[Expression | None, Field(description="With Guarded: a whole number that grows with each event.")] = (
        None
    )


class Errors(Model):
    """What happens to events that cannot be applied."""

    bad_data: Annotated[
        Literal["ParkKey", "Stop"],
        Field(description="ParkKey: kept aside with their row's later events. Stop: their partition waits."),
    ] = "ParkKey"
    max_parked_keys: Annotated[
        int, Field(ge=1, le=10_000, description="Rows with parked events; where one more comes, its partition waits.")
    ] = 100


class GivenEvent(Model):
    """An event of a test."""

    type: Annotated[EventType, Field(description="Event type; (tombstone) for a record without a value.")]
    value: Annotated[Any, Field(description="The decoded value.")] = None
    version: Annotated[int | None, Field(ge=0, le=2**31 - 1, description="The event's schema version.")] = None
    key: Annotated[str | None, Field(max_length=1024, description="The record's key. Default: none.")] = None
    headers: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(max_length=50, description="Headers besides those of type and version."),
    ] = None
    timestamp: Annotated[
        str | None, Field(max_length=64, description="RFC 3339. Default: a second after the event before it.")
    ] = None
    topic: Annotated[TopicName | None, Field(description="Default: the first of the source's topics.")] = None
    partition: Annotated[int, Field(ge=0, le=100_000)] = 0


Cells = Annotated[dict[ColumnName, Any], Field(min_length=1, max_length=200)]
"""Column name to value: as in JSON, with text for timestamps, dates and UUIDs."""


class Case(Model):
    """A test: what the table holds after events. Run by `projector test`; the operator does not look at it."""

    name: Annotated[str | None, Field(min_length=1, max_length=253)] = None
    given: Annotated[tuple[GivenEvent, ...], Field(max_length=1000, description="Events, in their order.")]
    then: Annotated[
        tuple[Cells, ...] | None,
        Field(max_length=1000, description="All rows there are then. Columns that are not named are not compared."),
    ] = None
    parked: Annotated[
        tuple[Cells, ...], Field(max_length=1000, description="Keys of all rows that have parked events then.")
    ] = ()


class Projector(Model):
    """The projector's pods."""

    image: Annotated[str | None, Field(max_length=1024, description="Default: the image that the chart names.")] = None
    template: Annotated[
        dict[str, Any] | None, Field(description="Partial PodTemplateSpec, merged over the operator's own.")
    ] = None


class Scaling(Model):
    """How many projector pods run."""

    replicas: Annotated[int, Field(ge=0, le=1000)] = 1


Accumulate = Annotated[
    dict[ColumnName, Literal["increment", "min", "max", "append"]], Field(min_length=1, max_length=200)
]
"""Column name to the one operation by which a handler accumulates in it."""


class ProjectionSpec(Model):
    """`spec` of a Projection."""

    version: Annotated[
        str,
        Field(
            min_length=1,
            max_length=40,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description="Label of the definition. A changed definition needs a new one.",
        ),
    ]
    rebuild_token: Annotated[str, Field(max_length=100, description="Any change builds the same version anew.")] = ""
    suspend: Annotated[bool, Field(description="Stops the projector's pods; positions are kept.")] = False
    readiness_policy: Annotated[
        Literal["ServingDesired", "ServingAny"],
        Field(description="Whether Reconciling lasts until the desired version is live, or ends with any live one."),
    ] = "ServingDesired"
    source: Source
    ordering: Ordering = Ordering()
    target: Target
    rules: Annotated[
        tuple[Rule, ...] | None, Field(min_length=1, max_length=100, description="What events do to rows, in order.")
    ] = None
    handler: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
            max_length=253,
            description="Instead of rules: package.module:function in projector.image, which is then named by digest.",
        ),
    ] = None
    accumulate: Annotated[
        Accumulate | None,
        Field(description="With handler: columns that it increments, appends to, or takes the min or max of."),
    ] = None
    errors: Errors = Errors()
    projector: Projector = Projector()
    scaling: Scaling = Scaling()
    rebuild: Rebuild = Rebuild()
    promotion: Promotion = Promotion()
    rollback: Rollback = Rollback()
    deletion_policy: Annotated[
        Literal["Retain", "Delete"], Field(description="What deletion does to view, tables and registry entries.")
    ] = "Retain"
    tests: Annotated[tuple[Case, ...], Field(max_length=100, description="Run by `projector test`.")] = ()
