"""Pydantic models of `spec` of a Projection: the one truth from which the CRD is generated.

Field names in YAML are camelCase; unknown fields are refused. Only what works is here: a field that nothing reads yet
is not accepted. Checks that need more than one field, or that count bytes, live in `projector.spec.checks`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Expression = Annotated[str, Field(min_length=1, max_length=1024)]
"""Source text of an expression in the CEL subset."""

ColumnName = Annotated[str, Field(min_length=1, max_length=63)]
EventType = Annotated[str, Field(min_length=1, max_length=253)]
Assignments = Annotated[dict[ColumnName, Expression], Field(min_length=1, max_length=50)]
"""Column name to expression."""

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


class Model(BaseModel):
    """Base of all spec models: camelCase in YAML, unknown fields refused, values immutable."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class SecretRef(Model):
    """A key of a Secret in the namespace of the Projection."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key that holds a PostgreSQL URI.")] = "uri"


class KafkaSource(Model):
    """A Kafka topic as the log."""

    bootstrap_servers: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=260)], ...],
        Field(min_length=1, max_length=20, description="Brokers to ask first, as host:port."),
    ]
    topics: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", min_length=1, max_length=249)], ...],
        Field(min_length=1, max_length=1, description="The topic that holds the events."),
    ]
    format: Annotated[Literal["JSON"], Field(description="How a record's value is encoded.")] = "JSON"
    type: Annotated[
        str,
        Field(
            pattern=r"^(header|event)\.[A-Za-z_][A-Za-z0-9_-]*$",
            max_length=253,
            description="Where the event type stands: header.<name>, or event.<field> of the decoded value.",
        ),
    ] = "header.ce_type"


class Source(Model):
    """Where the events come from: exactly one kind of log."""

    kafka: KafkaSource


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


class Target(Model):
    """Where the read model lives: exactly one kind of store."""

    postgresql: PostgresqlTarget


class Rule(Model):
    """What one or more event types do to one row."""

    events: Annotated[tuple[EventType, ...], Field(min_length=1, max_length=50)]
    key: Annotated[Assignments, Field(description="Value of each key column.")]
    when: Annotated[Expression | None, Field(description="The rule applies only where this is true.")] = None
    set: Assignments | None = None
    increment: Assignments | None = None
    min: Assignments | None = None
    max: Assignments | None = None
    delete: bool = False
    on_missing: Annotated[
        Literal["Create", "Ignore"], Field(description="What to do where the row does not exist.")
    ] = "Create"


class Projector(Model):
    """The projector's pods."""

    image: Annotated[str | None, Field(max_length=1024, description="Default: the image that the chart names.")] = None
    template: Annotated[
        dict[str, Any] | None, Field(description="Partial PodTemplateSpec, merged over the operator's own.")
    ] = None


class Scaling(Model):
    """How many projector pods run."""

    replicas: Annotated[int, Field(ge=0, le=1000)] = 1


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
    rebuild_token: Annotated[
        str, Field(max_length=100, description="Any change gives up the build in progress and begins another.")
    ] = ""
    suspend: Annotated[bool, Field(description="Stops the projector's pods; positions are kept.")] = False
    source: Source
    target: Target
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=100)]
    projector: Projector = Projector()
    scaling: Scaling = Scaling()
    deletion_policy: Annotated[
        Literal["Retain", "Delete"], Field(description="What deletion does to view, tables and registry entries.")
    ] = "Retain"
