-- Reads every account of the ledger beside what Postgres holds of it, in one statement and so at one moment.
-- Grain and key: (tenant_id, day) by UTC date of receipt.
-- Parameters: watermark bigint (rows of transactions below it are exported).
WITH booked AS (
    SELECT
        tenant_id,
        day,
        sum(received)::bigint AS received,
        sum(stored)::bigint AS stored,
        sum(duplicate)::bigint AS duplicate,
        sum(rejected)::bigint AS rejected
    FROM ingestion_ledger
    GROUP BY
        tenant_id,
        day
),

found AS (
    SELECT
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date AS day,
        count(*) AS events,
        count(*) FILTER (WHERE ingest_xid < %(watermark)s::text::xid8) AS exported
    FROM event_logs
    GROUP BY
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date
),

letters AS (
    SELECT
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date AS day,
        count(*) AS letters
    FROM dead_letters
    GROUP BY
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date
),

removed AS (
    SELECT
        tenant_id,
        received_day AS day,
        (sum(events) FILTER (WHERE reason = 'pruned'))::bigint AS pruned,
        (sum(events) FILTER (WHERE reason = 'erased'))::bigint AS erased
    FROM removed_events
    GROUP BY
        tenant_id,
        received_day
),

gone AS (
    SELECT
        tenant_id,
        day,
        sum(replayed)::bigint AS replayed,
        sum(dropped)::bigint AS dropped,
        sum(not_kept)::bigint AS not_kept
    FROM dead_letter_ledger
    GROUP BY
        tenant_id,
        day
)

SELECT
    tenant_id,
    day,
    coalesce(booked.received, 0) AS received,
    coalesce(booked.stored, 0) AS stored,
    coalesce(booked.duplicate, 0) AS duplicate,
    coalesce(booked.rejected, 0) AS rejected,
    coalesce(found.events, 0) AS in_postgres,
    coalesce(found.exported, 0) AS exported,
    coalesce(letters.letters, 0) AS letters,
    coalesce(gone.replayed, 0) AS replayed,
    coalesce(gone.dropped, 0) AS dropped,
    coalesce(gone.not_kept, 0) AS not_kept,
    coalesce(removed.pruned, 0) AS pruned,
    coalesce(removed.erased, 0) AS erased
FROM booked
FULL JOIN found USING (tenant_id, day)
FULL JOIN letters USING (tenant_id, day)
FULL JOIN gone USING (tenant_id, day)
FULL JOIN removed USING (tenant_id, day)
ORDER BY
    tenant_id,
    day
