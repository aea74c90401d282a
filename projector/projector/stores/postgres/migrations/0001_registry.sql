-- The registry: who owns the database, what is projected, builds and their checkpoints.

CREATE TABLE projections.operator (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    installation text NOT NULL,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projections.projection (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation text NOT NULL,
    namespace text NOT NULL,
    name text NOT NULL,
    resource_uid text NOT NULL,
    public_schema text NOT NULL,
    public_name text NOT NULL,
    live_build bigint,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (installation, namespace, name),
    UNIQUE (public_schema, public_name)
);

-- A sequence and not max() + 1: a number once given must not come back, whatever was deleted.
CREATE SEQUENCE projections.build_number;

CREATE TABLE projections.build (
    number bigint PRIMARY KEY,
    projection bigint NOT NULL REFERENCES projections.projection ON DELETE CASCADE,
    version text NOT NULL,
    token text NOT NULL,
    state text NOT NULL CHECK (state IN ('Replaying', 'CatchingUp', 'Live', 'Abandoned', 'Retired')),
    epoch bigint NOT NULL,
    definition text NOT NULL,
    fingerprint text NOT NULL,
    semantics integer NOT NULL,
    image text,
    consumer_group text NOT NULL,
    worker_role name NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    UNIQUE (table_schema, table_name)
);
CREATE INDEX build_of_projection ON projections.build (projection);

ALTER TABLE projections.projection
    ADD CONSTRAINT projection_live_build FOREIGN KEY (live_build) REFERENCES projections.build;

-- Updated many times a second and never in an indexed column: room in the pages keeps updates heap-only.
CREATE TABLE projections.checkpoint (
    build bigint NOT NULL REFERENCES projections.build ON DELETE CASCADE,
    topic text NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    start_offset bigint NOT NULL,
    replay_end bigint NOT NULL,
    next_offset bigint NOT NULL,
    epoch bigint NOT NULL,
    worker_role name NOT NULL,
    event_time timestamptz,
    moved_at timestamptz NOT NULL DEFAULT now(),
    stuck_offset bigint,
    stuck_message text,
    PRIMARY KEY (build, topic_id, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

ALTER TABLE projections.checkpoint ENABLE ROW LEVEL SECURITY;
-- The role stands in the row itself: a look into another table would cost every commit.
CREATE POLICY own_builds ON projections.checkpoint USING (worker_role = current_user);

CREATE TABLE projections.discarded (
    projection bigint NOT NULL REFERENCES projections.projection ON DELETE CASCADE,
    topic text NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    who name NOT NULL DEFAULT current_user,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, topic_id, partition, "offset")
);

-- Holds names and not references: it outlives what it tells of.
CREATE TABLE projections.history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    installation text NOT NULL,
    namespace text,
    name text,
    build bigint,
    what text NOT NULL,
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX history_of_projection ON projections.history (installation, namespace, name, id);

-- The compare-and-set of law 1. It raises instead of counting, so that a whole transaction can be sent in one go and
-- stops at the server when the checkpoints are not where the caller left them. Runs with the caller's rights.
CREATE FUNCTION projections.move(
    of_build bigint, at_epoch bigint, topic_ids text[], partitions integer[],
    previous bigint[], following bigint[], event_times timestamptz[]
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE projections.checkpoint c
    SET next_offset = m.following,
        event_time = coalesce(m.event_time, c.event_time),
        moved_at = clock_timestamp(),
        stuck_offset = CASE WHEN m.following <= c.stuck_offset THEN c.stuck_offset END,
        stuck_message = CASE WHEN m.following <= c.stuck_offset THEN c.stuck_message END
    FROM unnest(topic_ids, partitions, previous, following, event_times)
        AS m (topic_id, partition, previous, following, event_time)
    WHERE c.build = of_build AND c.epoch = at_epoch
        AND c.topic_id = m.topic_id AND c.partition = m.partition AND c.next_offset = m.previous;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(partitions) THEN
        RAISE EXCEPTION 'checkpoints of build % are not where this worker left them', of_build
            USING ERRCODE = 'PJ001';
    END IF;
END
$$;
