-- Compares the ledger with the events that are there, in one statement and so at one moment.
-- Grain and key: (tenant_id, day) by UTC date of receipt.
-- Parameters: none.
WITH booked AS (
    SELECT
        tenant_id,
        day,
        sum(stored)::bigint AS events
    FROM ingestion_ledger
    GROUP BY
        tenant_id,
        day
),

found AS (
    SELECT
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date AS day,
        count(*) AS events
    FROM event_logs
    GROUP BY
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date
)

SELECT
    coalesce(booked.tenant_id, found.tenant_id) AS tenant_id,
    coalesce(booked.day, found.day) AS day,
    coalesce(booked.events, 0) AS booked,
    coalesce(found.events, 0) AS found
FROM booked
FULL JOIN found
    ON found.tenant_id = booked.tenant_id
    AND found.day = booked.day
ORDER BY
    coalesce(booked.tenant_id, found.tenant_id),
    coalesce(booked.day, found.day)
