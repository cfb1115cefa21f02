-- The ledger of a tenant by UTC day of receipt: what came, what became of it, and how much of it the lake has.
-- Grain and key: one row per day with any of it, ascending. Reads aggregates, and of letters their times alone.
-- Parameters: tenant_id text, first_day, last_day date (both included).
WITH booked AS (
    SELECT
        ingestion_ledger.day,
        sum(ingestion_ledger.received)::bigint AS received,
        sum(ingestion_ledger.stored)::bigint AS stored,
        sum(ingestion_ledger.duplicate)::bigint AS duplicate,
        sum(ingestion_ledger.rejected)::bigint AS rejected
    FROM ingestion_ledger
    WHERE ingestion_ledger.tenant_id = %(tenant_id)s
        AND ingestion_ledger.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY ingestion_ledger.day
),

letters AS (
    SELECT
        (dead_letters.received_at AT TIME ZONE 'UTC')::date AS day,
        count(*) AS letters
    FROM dead_letters
    WHERE dead_letters.tenant_id = %(tenant_id)s
    GROUP BY (dead_letters.received_at AT TIME ZONE 'UTC')::date
),

gone AS (
    SELECT
        dead_letter_ledger.day,
        sum(dead_letter_ledger.replayed)::bigint AS replayed,
        sum(dead_letter_ledger.dropped)::bigint AS dropped,
        sum(dead_letter_ledger.not_kept)::bigint AS not_kept
    FROM dead_letter_ledger
    WHERE dead_letter_ledger.tenant_id = %(tenant_id)s
        AND dead_letter_ledger.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY dead_letter_ledger.day
),

arrived AS (
    SELECT
        arrival_counts.received_day AS day,
        sum(arrival_counts.events)::bigint AS in_lake
    FROM arrival_counts
    WHERE arrival_counts.tenant_id = %(tenant_id)s
        AND arrival_counts.received_day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY arrival_counts.received_day
),

erased AS (
    SELECT
        removed_events.received_day AS day,
        sum(removed_events.events)::bigint AS erased
    FROM removed_events
    WHERE removed_events.tenant_id = %(tenant_id)s
        AND removed_events.received_day BETWEEN %(first_day)s AND %(last_day)s
        AND removed_events.reason = 'erased'
    GROUP BY removed_events.received_day
)

SELECT
    booked.day,
    booked.received,
    booked.stored,
    booked.duplicate,
    booked.rejected,
    coalesce(letters.letters, 0) AS letters,
    coalesce(gone.replayed, 0) AS replayed,
    coalesce(gone.dropped, 0) AS dropped,
    coalesce(gone.not_kept, 0) AS not_kept,
    coalesce(erased.erased, 0) AS erased,
    coalesce(arrived.in_lake, 0) AS in_lake
FROM booked
LEFT JOIN letters
    ON letters.day = booked.day
LEFT JOIN gone
    ON gone.day = booked.day
LEFT JOIN arrived
    ON arrived.day = booked.day
LEFT JOIN erased
    ON erased.day = booked.day
ORDER BY booked.day
