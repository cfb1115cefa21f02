-- Stores the staged events that are new, stamped with their user's assignments as of as_of, and books all of them.
-- Grain of the result: one row per tenant and UTC day of receipt, with the numbers booked. Key: (tenant_id, event_id).
-- Parameters: none. Rows are inserted in key order, so that two writers of the same events cannot deadlock.
WITH stamps AS (
    SELECT
        sources.source,
        max(assignments.assignment_version) AS assignment_version,
        jsonb_agg(
            jsonb_build_object(
                'experiment_id', assignments.experiment_id,
                'variant_id', assignments.variant_id,
                'variant_name', coalesce(experiment_variants.variant_name, assignments.variant_id)
            )
            ORDER BY assignments.experiment_id
        ) AS assignments,
        jsonb_object_agg(assignments.experiment_id, assignments.variant_id) AS experiment_map
    FROM (
        SELECT DISTINCT ON (source)
            source,
            tenant_id,
            anonymous_user_id,
            as_of,
            running
        FROM incoming_events
        WHERE assignments IS NULL
        ORDER BY source
    ) AS sources
    -- OFFSET 0 keeps this a look-up by tenant and user. Without statistics of a young table, the planner would take the
    -- index by tenant and experiment alone, and walk through all users for each source.
    CROSS JOIN LATERAL (
        SELECT
            tenant_id,
            experiment_id,
            variant_id,
            assignment_version
        FROM assignments
        WHERE assignments.tenant_id = sources.tenant_id
            AND assignments.anonymous_user_id = sources.anonymous_user_id
            AND assignments.assigned_at <= sources.as_of
        OFFSET 0
    ) AS assignments
    INNER JOIN experiments
        ON experiments.tenant_id = assignments.tenant_id
        AND experiments.experiment_id = assignments.experiment_id
        AND CASE
            WHEN sources.running IS NULL THEN experiments.status = 'RUNNING'
            ELSE experiments.experiment_id = ANY(sources.running)
        END
    LEFT JOIN experiment_variants
        ON experiment_variants.tenant_id = assignments.tenant_id
        AND experiment_variants.experiment_id = assignments.experiment_id
        AND experiment_variants.variant_id = assignments.variant_id
    GROUP BY sources.source
),

stored AS (
    INSERT INTO event_logs (
        event_id,
        tenant_id,
        anonymous_user_id,
        session_id,
        install_id,
        platform,
        app_version,
        event_name,
        occurred_at,
        received_at,
        sent_at,
        properties,
        context,
        assignment_version,
        assignments,
        experiment_map,
        schema_version
    )
    SELECT DISTINCT ON (incoming.tenant_id, incoming.event_id)
        incoming.event_id,
        incoming.tenant_id,
        incoming.anonymous_user_id,
        incoming.session_id,
        incoming.install_id,
        incoming.platform,
        incoming.app_version,
        incoming.event_name,
        incoming.occurred_at,
        incoming.received_at,
        incoming.sent_at,
        incoming.properties,
        incoming.context,
        CASE WHEN incoming.assignments IS NULL THEN stamps.assignment_version ELSE incoming.assignment_version END,
        coalesce(incoming.assignments, stamps.assignments, '[]'),
        CASE
            WHEN incoming.assignments IS NULL THEN coalesce(stamps.experiment_map, '{}')
            ELSE coalesce(incoming.experiment_map, '{}')
        END,
        incoming.schema_version
    FROM incoming_events AS incoming
    LEFT JOIN stamps
        ON stamps.source = incoming.source
    -- Removed since, and so known. An array keeps this one look-up by index for the group: a join might read all ids.
    WHERE (incoming.tenant_id, incoming.event_id) NOT IN (
        SELECT
            removed.tenant_id,
            removed.event_id
        FROM removed_event_ids AS removed
        WHERE removed.event_id = ANY(ARRAY(SELECT event_id FROM incoming_events))
    )
    ORDER BY incoming.tenant_id, incoming.event_id, incoming.position
    ON CONFLICT (tenant_id, event_id) DO NOTHING
    RETURNING tenant_id, received_at, event_id
),

counts AS (
    SELECT
        sides.tenant_id,
        sides.day,
        sum(sides.received)::bigint AS received,
        sum(sides.stored)::bigint AS stored
    FROM (
        SELECT
            tenant_id,
            (received_at AT TIME ZONE 'UTC')::date AS day,
            count(*) FILTER (WHERE NOT booked) AS received,
            0 AS stored
        FROM incoming_events
        GROUP BY 1, 2
        UNION ALL
        SELECT
            stored.tenant_id,
            (stored.received_at AT TIME ZONE 'UTC')::date,
            count(*) FILTER (WHERE (SELECT bool_or(booked) FROM incoming_events)),
            count(*)
        FROM stored
        GROUP BY 1, 2
    ) AS sides
    GROUP BY sides.tenant_id, sides.day
),

bookings AS (
    INSERT INTO ingestion_ledger (
        tenant_id,
        day,
        slot,
        received,
        stored,
        duplicate
    )
    SELECT
        tenant_id,
        day,
        mod(pg_backend_pid(), 16),
        received,
        stored,
        received - stored
    FROM counts
    ORDER BY tenant_id, day
    ON CONFLICT (tenant_id, day, slot) DO UPDATE SET
        received = ingestion_ledger.received + excluded.received,
        stored = ingestion_ledger.stored + excluded.stored,
        duplicate = ingestion_ledger.duplicate + excluded.duplicate
)

SELECT
    tenant_id,
    day,
    received,
    stored,
    pg_current_xact_id(),
    -- One of the events that this very transaction has stored: what proves later that it did.
    (SELECT stored.event_id FROM stored WHERE stored.tenant_id = counts.tenant_id LIMIT 1)
FROM counts
