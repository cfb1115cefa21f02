-- Finds what holds back the export: it takes no event newer than the oldest transaction of the server that has written.
-- Grain: one row. oldest_seconds is the age of that transaction, prepared ones included, 0 without one; idle counts sessions that do nothing in such a transaction of some age. Only the own role's sessions show their times, unless it is a member of pg_monitor.
-- Parameters: idle_seconds float8, the age from which a transaction of an idle session counts.
SELECT
    extract(
        EPOCH FROM coalesce(
            clock_timestamp() - least(
                (SELECT min(xact_start) FROM pg_stat_activity WHERE backend_xid IS NOT NULL),
                (SELECT min(prepared) FROM pg_prepared_xacts)
            ),
            interval '0'
        )
    )::float8 AS oldest_seconds,
    (
        SELECT count(*)
        FROM pg_stat_activity
        WHERE state IN ('idle in transaction', 'idle in transaction (aborted)')
            AND backend_xid IS NOT NULL
            AND xact_start < clock_timestamp() - make_interval(secs => %(idle_seconds)s)
    ) AS idle
