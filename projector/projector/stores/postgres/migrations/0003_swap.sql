-- The swap: the public view shows another build, in one statement, so that no client can stop or be cut off between.

ALTER TABLE projections.build DROP CONSTRAINT build_state_check;
ALTER TABLE projections.build ADD CONSTRAINT build_state_check
    CHECK (state IN ('Replaying', 'CatchingUp', 'Live', 'Warm', 'Abandoned', 'Retired'));

-- Sessions whose next statement may still see what was before now: their snapshot outlives the statement. A single
-- statement that is under way has locked all that it reads; whoever waits for us goes on with what we leave.
CREATE FUNCTION projections.old_snapshots() RETURNS TABLE (pid integer, since timestamptz)
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
    SELECT pg_stat_clear_snapshot();
    SELECT a.pid, a.xact_start FROM pg_stat_activity a
    WHERE a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
        AND (a.state <> 'active' OR a.xact_start < a.query_start)
        AND NOT pg_backend_pid() = ANY (pg_blocking_pids(a.pid));
$$;

-- In words, for the status of a projection.
CREATE FUNCTION projections.session_in_words(of_pid integer) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
    SELECT coalesce(
        (SELECT format('pid %s (%s%s), in a transaction since %s', a.pid, a.usename,
            CASE WHEN a.application_name <> '' THEN ', ' || a.application_name ELSE '' END,
            to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
        FROM pg_stat_activity a WHERE a.pid = of_pid),
        format('pid %s', of_pid));
$$;

-- As GRANT and REVOKE name a role of an access list.
CREATE FUNCTION projections.grantee(of_role oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE of_role WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(of_role)) END;
$$;

-- Gives a view another query. Where the columns only grow at the end it is replaced, and keeps all that it has;
-- otherwise it is made anew with the same owner, rights, options and comments. Objects that depend on it forbid that.
CREATE FUNCTION projections.show(of_view regclass, query text, source regclass, columns text[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    view_name text;
    view_owner text;
    options text;
    grows boolean;
    after text[] := '{}';
    one record;
BEGIN
    SELECT format('%I.%I', n.nspname, c.relname), format('%I', pg_get_userbyid(c.relowner)),
        coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '')
    INTO view_name, view_owner, options
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = of_view;
    -- Each column of the view must come again, in its place, with its name and type.
    SELECT coalesce(bool_and(
        columns[v.attnum] IS NOT DISTINCT FROM v.attname::text
        AND (t.atttypid, t.atttypmod, t.attcollation) IS NOT DISTINCT FROM (v.atttypid, v.atttypmod, v.attcollation)
    ), true)
    INTO grows
    FROM pg_attribute v LEFT JOIN pg_attribute t ON t.attrelid = source AND t.attname = v.attname
    WHERE v.attrelid = of_view AND v.attnum > 0 AND NOT v.attisdropped;
    IF grows THEN
        EXECUTE format('CREATE OR REPLACE VIEW %s%s AS %s', view_name, options, query);
        RETURN;
    END IF;
    FOR one IN
        SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, view_name, projections.grantee(a.grantee),
            CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS redo
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = of_view
    LOOP
        after := after || one.redo;
    END LOOP;
    FOR one IN
        SELECT format('GRANT %s (%I) ON %s TO %s%s', a.privilege_type, v.attname, view_name,
            projections.grantee(a.grantee),
            CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS redo
        FROM pg_attribute v, aclexplode(v.attacl) a
        WHERE v.attrelid = of_view AND v.attnum > 0 AND v.attname = ANY (columns)
    LOOP
        after := after || one.redo;
    END LOOP;
    FOR one IN
        SELECT CASE d.objsubid WHEN 0 THEN format('COMMENT ON VIEW %s IS %L', view_name, d.description)
            ELSE format('COMMENT ON COLUMN %s.%I IS %L', view_name, v.attname, d.description) END AS redo
        FROM pg_description d LEFT JOIN pg_attribute v ON v.attrelid = d.objoid AND v.attnum = d.objsubid
        WHERE d.objoid = of_view AND d.classoid = 'pg_class'::regclass
            AND (d.objsubid = 0 OR v.attname = ANY (columns))
    LOOP
        after := after || one.redo;
    END LOOP;
    EXECUTE format('DROP VIEW %s', view_name);
    EXECUTE format('CREATE VIEW %s%s AS %s', view_name, options, query);
    -- What default privileges gave it, it did not have before.
    FOR one IN
        SELECT DISTINCT projections.grantee(a.grantee) AS role
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = view_name::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', view_name, one.role);
    END LOOP;
    EXECUTE format('ALTER VIEW %s OWNER TO %s', view_name, view_owner);
    FOR i IN 1 .. cardinality(after) LOOP
        EXECUTE after[i];
    END LOOP;
END
$$;

-- Laws 2 and 3. PJ003: another operator leads; PJ004: somebody holds it up, nothing was changed, try again; PJ005: it is
-- not to be done. While live checkpoints are locked their workers wait, so all that waits is bounded: by `gate_ms`
-- altogether, and by `view_ms` where readers queue behind us. `lost_topic_ids` and `lost_partitions` name, pair by pair,
-- partitions that the log has lost: no other build can pass them, so the gate does not ask.
CREATE FUNCTION projections.swap(
    of_installation text, at_epoch bigint, to_build bigint, query text, columns text[], gate_ms integer,
    view_ms integer, wait_for_snapshots boolean, lost_topic_ids text[], lost_partitions integer[]
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    project projections.projection;
    coming projections.build;
    public_view regclass;
    source regclass;
    deadline timestamptz;
    reason text;
    holders integer[];
    began timestamptz[];
BEGIN
    PERFORM FROM projections.operator o WHERE o.epoch = at_epoch AND o.installation = of_installation FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another operator leads this registry' USING ERRCODE = 'PJ003';
    END IF;
    SELECT b.* INTO coming FROM projections.build b WHERE b.number = to_build;
    SELECT p.* INTO project FROM projections.projection p WHERE p.id = coming.projection FOR UPDATE;
    IF project.live_build IS NULL THEN
        RAISE EXCEPTION 'nothing is live that build % could take the place of', to_build USING ERRCODE = 'PJ005';
    END IF;
    IF project.live_build = to_build THEN
        RETURN;
    END IF;
    SELECT b.* INTO coming FROM projections.build b WHERE b.number = to_build FOR UPDATE;
    IF coming.state NOT IN ('CatchingUp', 'Warm') THEN
        RAISE EXCEPTION 'build % is %, not CatchingUp or Warm', to_build, coming.state USING ERRCODE = 'PJ005';
    END IF;
    public_view := to_regclass(format('%I.%I', project.public_schema, project.public_name));
    source := to_regclass(format('%I.%I', coming.table_schema, coming.table_name));
    IF public_view IS NULL OR (SELECT c.relkind FROM pg_class c WHERE c.oid = public_view) <> 'v' THEN
        RAISE EXCEPTION '%.% is not the view that was there', project.public_schema, project.public_name
            USING ERRCODE = 'PJ005';
    END IF;

    -- Whoever would hold us up for long is seen before anybody has to wait for us.
    SELECT projections.session_in_words(l.pid) INTO reason
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.relation = public_view AND l.granted AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        AND a.xact_start < clock_timestamp() - make_interval(secs => view_ms / 1000.0)
    ORDER BY a.xact_start LIMIT 1;
    IF reason IS NOT NULL THEN
        RAISE EXCEPTION '% reads %.%', reason, project.public_schema, project.public_name USING ERRCODE = 'PJ004';
    END IF;
    IF wait_for_snapshots THEN
        IF NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN
            RAISE EXCEPTION 'role % cannot see the transactions of others, which oldSnapshots: Wait needs: GRANT pg_read_all_stats TO %',
                current_user, format('%I', current_user) USING ERRCODE = 'PJ005';
        END IF;
        SELECT projections.session_in_words(s.pid) INTO reason FROM projections.old_snapshots() s
        WHERE s.since < clock_timestamp() - make_interval(secs => gate_ms / 1000.0) ORDER BY s.since LIMIT 1;
        IF reason IS NOT NULL THEN
            RAISE EXCEPTION '% has a snapshot that is older than the swap', reason USING ERRCODE = 'PJ004';
        END IF;
    END IF;

    -- From here on the live build stands still.
    deadline := clock_timestamp() + make_interval(secs => gate_ms / 1000.0);
    PERFORM set_config('lock_timeout', gate_ms || 'ms', true);
    BEGIN
        PERFORM FROM projections.checkpoint c WHERE c.build = project.live_build
            ORDER BY c.topic_id, c.partition FOR UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'a transaction of build % holds its checkpoints for more than % ms', project.live_build, gate_ms
            USING ERRCODE = 'PJ004';
    END;
    LOOP
        SELECT string_agg(format('%s/%s', f.topic, f.partition), ', ' ORDER BY f.topic, f.partition) INTO reason
        FROM projections.checkpoint f
        LEFT JOIN projections.checkpoint t
            ON t.build = to_build AND t.topic_id = f.topic_id AND t.partition = f.partition
        WHERE f.build = project.live_build AND (t.next_offset IS NULL OR t.next_offset < f.next_offset)
            AND NOT EXISTS (
                SELECT FROM unnest(lost_topic_ids, lost_partitions) AS l (topic_id, partition)
                WHERE l.topic_id = f.topic_id AND l.partition = f.partition
            );
        EXIT WHEN reason IS NULL;
        IF clock_timestamp() >= deadline THEN
            RAISE EXCEPTION 'build % is behind build % in %', to_build, project.live_build, reason
                USING ERRCODE = 'PJ004';
        END IF;
        PERFORM pg_sleep(0.001);
    END LOOP;
    -- What readers saw of a parked event's row must not go away.
    SELECT format('%s/%s offset %s', k.topic, e.partition, e."offset") INTO reason
    FROM projections.parked_event e JOIN projections.parked_key k USING (build, topic_id, partition, key_digest)
    WHERE e.build = to_build AND NOT EXISTS (
        SELECT FROM projections.parked_event f
        WHERE f.build = project.live_build
            AND (f.topic_id, f.partition, f."offset") = (e.topic_id, e.partition, e."offset")
    )
    ORDER BY e."offset" LIMIT 1;
    IF reason IS NOT NULL THEN
        RAISE EXCEPTION 'build % has parked %, and build % has not', to_build, reason, project.live_build
            USING ERRCODE = 'PJ005';
    END IF;
    IF wait_for_snapshots THEN
        SELECT array_agg(s.pid), array_agg(s.since) INTO holders, began FROM projections.old_snapshots() s;
        LOOP
            SELECT projections.session_in_words(s.pid) INTO reason
            FROM projections.old_snapshots() s JOIN unnest(holders, began) AS h (pid, since) USING (pid, since) LIMIT 1;
            EXIT WHEN reason IS NULL;
            IF clock_timestamp() >= deadline THEN
                RAISE EXCEPTION '% has a snapshot that is older than the swap', reason USING ERRCODE = 'PJ004';
            END IF;
            PERFORM pg_sleep(0.001);
        END LOOP;
    END IF;

    PERFORM set_config('lock_timeout', view_ms || 'ms', true);
    BEGIN
        PERFORM projections.show(public_view, query, source, columns);
    EXCEPTION
        WHEN lock_not_available THEN
            SELECT projections.session_in_words(l.pid) INTO reason FROM pg_locks l
            WHERE l.locktype = 'relation' AND l.relation = public_view AND l.granted LIMIT 1;
            RAISE EXCEPTION '% reads %.%', coalesce(reason, 'somebody'), project.public_schema, project.public_name
                USING ERRCODE = 'PJ004';
        WHEN dependent_objects_still_exist THEN
            GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
            RAISE EXCEPTION '%.% cannot get other columns while objects depend on it: %', project.public_schema,
                project.public_name, reason USING ERRCODE = 'PJ005';
    END;
    UPDATE projections.build SET state = 'Warm', changed_at = clock_timestamp() WHERE number = project.live_build;
    UPDATE projections.build SET state = 'Live', changed_at = clock_timestamp(), published_at = clock_timestamp()
        WHERE number = to_build;
    UPDATE projections.projection SET live_build = to_build WHERE id = project.id;
    INSERT INTO projections.history (installation, namespace, name, build, what, detail)
    VALUES (project.installation, project.namespace, project.name, to_build, 'Swapped',
        format('in the place of build %s', project.live_build));
END
$$;
