-- Parked events: what cannot be applied waits with the later events of its row key, beside the rows.

-- Only others than the worker raise it: people who replay or discard what is parked. A worker that does not know of
-- that is fenced.
ALTER TABLE projections.checkpoint ADD COLUMN parked_generation bigint NOT NULL DEFAULT 0;

-- While somebody holds a snapshot open, no old version of a checkpoint goes away, and a unique index looks at all of them
-- whenever a new version gets an entry. Nothing but the insertion can make two checkpoints of one lane: that is where it
-- is refused.
ALTER TABLE projections.checkpoint DROP CONSTRAINT checkpoint_pkey;
CREATE INDEX checkpoint_lane ON projections.checkpoint (build, topic_id, partition);

CREATE FUNCTION projections.one_checkpoint() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- Builds are made one at a time; the lock makes it so for whoever inserts by hand.
    PERFORM pg_advisory_xact_lock(1349152108, (NEW.build % 2147483647)::integer);
    IF EXISTS (
        SELECT FROM projections.checkpoint c
        WHERE c.build = NEW.build AND c.topic_id = NEW.topic_id AND c.partition = NEW.partition
    ) THEN
        RAISE unique_violation USING MESSAGE = format(
            'build %s has a checkpoint for partition %s of topic %s', NEW.build, NEW.partition, NEW.topic
        );
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER one_checkpoint BEFORE INSERT ON projections.checkpoint
    FOR EACH ROW EXECUTE FUNCTION projections.one_checkpoint();

-- A key may be longer than an entry of an index, hence the digest.
CREATE TABLE projections.parked_key (
    build bigint NOT NULL REFERENCES projections.build ON DELETE CASCADE,
    topic text NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    key_digest text NOT NULL,
    key text NOT NULL,
    first_offset bigint NOT NULL,
    reason text NOT NULL,
    worker_role name NOT NULL DEFAULT current_user,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (build, topic_id, partition, key_digest)
);

-- Records as they are in the log. `record_headers` is a JSON array of [name, value in base64 or null].
CREATE TABLE projections.parked_event (
    build bigint NOT NULL,
    topic_id text NOT NULL,
    partition integer NOT NULL,
    key_digest text NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    record_key bytea,
    record_value bytea,
    record_headers json NOT NULL,
    record_time_kind integer NOT NULL,
    record_time_ms bigint NOT NULL,
    worker_role name NOT NULL DEFAULT current_user,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (build, topic_id, partition, key_digest, "offset"),
    FOREIGN KEY (build, topic_id, partition, key_digest) REFERENCES projections.parked_key ON DELETE CASCADE
);

ALTER TABLE projections.parked_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE projections.parked_event ENABLE ROW LEVEL SECURITY;
-- Seen by the role in the row, as checkpoints are; added only for builds that the registry has for that role.
CREATE POLICY own_keys ON projections.parked_key USING (worker_role = current_user) WITH CHECK (
    worker_role = current_user
    AND EXISTS (SELECT FROM projections.build b WHERE b.number = build AND b.worker_role = current_user)
);
CREATE POLICY own_events ON projections.parked_event USING (worker_role = current_user) WITH CHECK (
    worker_role = current_user
    AND EXISTS (SELECT FROM projections.build b WHERE b.number = build AND b.worker_role = current_user)
);

-- Builds that were begun before have workers too.
DO $$
DECLARE
    worker name;
BEGIN
    FOR worker IN SELECT DISTINCT worker_role FROM projections.build b JOIN pg_roles r ON r.rolname = b.worker_role
        WHERE b.state <> 'Retired' AND b.worker_role <> current_user
    LOOP
        EXECUTE format('GRANT SELECT, INSERT ON projections.parked_key, projections.parked_event TO %I', worker);
    END LOOP;
END
$$;

-- The compare-and-set of law 1, now with the generation. `places` are the physical places where the caller last saw
-- the checkpoints (NULL where it does not know): while somebody holds a snapshot open, old versions of a row cannot be
-- removed, and the way through them by the key grows with every commit. Gives the new places.
CREATE FUNCTION projections.move(
    of_build bigint, at_epoch bigint, topic_ids text[], partitions integer[], previous bigint[], following bigint[],
    event_times timestamptz[], generations bigint[], places tid[]
) RETURNS tid[] LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    place tid;
BEGIN
    FOR i IN 1 .. cardinality(partitions) LOOP
        place := NULL;
        IF places[i] IS NOT NULL THEN
            UPDATE projections.checkpoint c
            SET next_offset = following[i],
                event_time = coalesce(event_times[i], c.event_time),
                moved_at = clock_timestamp(),
                stuck_offset = CASE WHEN following[i] <= c.stuck_offset THEN c.stuck_offset END,
                stuck_message = CASE WHEN following[i] <= c.stuck_offset THEN c.stuck_message END
            WHERE c.ctid = places[i] AND c.build = of_build AND c.epoch = at_epoch AND c.topic_id = topic_ids[i]
                AND c.partition = partitions[i] AND c.next_offset = previous[i] AND c.parked_generation = generations[i]
            RETURNING c.ctid INTO place;
        END IF;
        IF place IS NULL THEN
            UPDATE projections.checkpoint c
            SET next_offset = following[i],
                event_time = coalesce(event_times[i], c.event_time),
                moved_at = clock_timestamp(),
                stuck_offset = CASE WHEN following[i] <= c.stuck_offset THEN c.stuck_offset END,
                stuck_message = CASE WHEN following[i] <= c.stuck_offset THEN c.stuck_message END
            WHERE c.build = of_build AND c.epoch = at_epoch AND c.topic_id = topic_ids[i]
                AND c.partition = partitions[i] AND c.next_offset = previous[i] AND c.parked_generation = generations[i]
            RETURNING c.ctid INTO place;
        END IF;
        IF place IS NULL THEN
            RAISE EXCEPTION 'checkpoints of build % are not where this worker left them', of_build
                USING ERRCODE = 'PJ001';
        END IF;
        places[i] := place;
    END LOOP;
    RETURN places;
END
$$;

-- Keeps events aside. Workers of one build take turns here, so that the limit holds for all of them together.
CREATE FUNCTION projections.park(
    of_build bigint, most bigint, topics text[], topic_ids text[], partitions integer[], digests text[], keys text[],
    offsets bigint[], reasons text[], record_keys bytea[], record_values bytea[], headers text[], time_kinds integer[],
    times_ms bigint[]
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    parked bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1349152107, (of_build % 2147483647)::integer);
    INSERT INTO projections.parked_key (build, topic, topic_id, partition, key_digest, key, first_offset, reason)
    SELECT DISTINCT ON (e.topic_id, e.partition, e.digest)
        of_build, e.topic, e.topic_id, e.partition, e.digest, e.key, e.first_offset, e.reason
    FROM unnest(topics, topic_ids, partitions, digests, keys, offsets, reasons)
        AS e (topic, topic_id, partition, digest, key, first_offset, reason)
    ORDER BY e.topic_id, e.partition, e.digest, e.first_offset
    ON CONFLICT DO NOTHING;
    INSERT INTO projections.parked_event (build, topic_id, partition, key_digest, "offset", reason, record_key,
        record_value, record_headers, record_time_kind, record_time_ms)
    SELECT of_build, e.topic_id, e.partition, e.digest, e.at, e.reason, e.key, e.value, e.headers::json, e.kind, e.ms
    FROM unnest(topic_ids, partitions, digests, offsets, reasons, record_keys, record_values, headers, time_kinds,
        times_ms) AS e (topic_id, partition, digest, at, reason, key, value, headers, kind, ms)
    ON CONFLICT DO NOTHING;
    SELECT count(*) INTO parked FROM projections.parked_key k WHERE k.build = of_build;
    IF parked > most THEN
        RAISE EXCEPTION 'build % would have % parked keys', of_build, parked USING ERRCODE = 'PJ002';
    END IF;
END
$$;

-- The workers of an older release know nothing of parked keys: they must not go on with a partition that has some.
CREATE OR REPLACE FUNCTION projections.move(
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
        AND c.topic_id = m.topic_id AND c.partition = m.partition AND c.next_offset = m.previous
        AND NOT EXISTS (
            SELECT FROM projections.parked_key k
            WHERE k.build = of_build AND k.topic_id = m.topic_id AND k.partition = m.partition
        );
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(partitions) THEN
        RAISE EXCEPTION 'checkpoints of build % are not where this worker left them', of_build
            USING ERRCODE = 'PJ001';
    END IF;
END
$$;
