-- Takes requests out of a bucket that fills at a rate up to its capacity: as many as are wanted and as it holds.
-- Grain: one row; granted requests, and the seconds after which the bucket is full again. Key: (tenant_id, endpoint).
-- Parameters: tenant_id, endpoint text, rate float8 (requests per second), capacity float8, wanted integer (at most capacity).
INSERT INTO rate_limit_buckets (
    tenant_id,
    endpoint,
    full_at,
    granted
)
VALUES (
    %(tenant_id)s,
    %(endpoint)s,
    clock_timestamp() + make_interval(secs => %(wanted)s::integer / %(rate)s::float8),
    %(wanted)s::integer
)
ON CONFLICT (tenant_id, endpoint) DO UPDATE SET
    (full_at, granted) = (
        SELECT
            bucket.base + make_interval(secs => bucket.available / %(rate)s::float8),
            bucket.available
        FROM (
            SELECT
                moment.base,
                -- A millionth of a request that rounding took is no reason to refuse one.
                greatest(
                    least(
                        %(wanted)s::integer,
                        floor(
                            %(capacity)s::float8
                            - extract(EPOCH FROM moment.base - moment.now)::float8 * %(rate)s::float8
                            + 1e-6
                        )
                    ),
                    0
                )::integer AS available
            FROM (
                SELECT
                    clock.now,
                    greatest(rate_limit_buckets.full_at, clock.now) AS base
                FROM (SELECT clock_timestamp() AS now) AS clock
            ) AS moment
        ) AS bucket
    )
RETURNING
    granted,
    greatest(extract(EPOCH FROM full_at - clock_timestamp())::float8, 0)
