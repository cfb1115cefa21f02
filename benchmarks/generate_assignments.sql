-- Generates the assignments of the benchmark's users in both experiments, made when each user begins.
-- Grain and key: one row per user and experiment.
-- Parameters: users, seed, span bigint (microseconds), first_moment timestamptz.
INSERT INTO assignments (
    tenant_id,
    anonymous_user_id,
    experiment_id,
    variant_id,
    assigned_at
)
SELECT
    'default',
    md5('person' || person)::uuid::text,
    chosen.experiment_id,
    chosen.variant_id,
    %(first_moment)s::timestamptz + %(span)s::bigint * person / %(users)s * interval '1 microsecond'
FROM generate_series(0::bigint, %(users)s::bigint - 1) AS person
CROSS JOIN LATERAL (
    VALUES
    ('landing', chr(65 + abs(hashint8extended(person, %(seed)s + 5) %% 3)::integer)),
    ('density', chr(65 + abs(hashint8extended(person, %(seed)s + 6) %% 2)::integer))
) AS chosen (experiment_id, variant_id)
