-- Brings one experiment in line with the manifest; touches no row that already is.
-- Grain and key: (tenant_id, experiment_id). The number of rows affected is 1 when something changed.
-- Parameters: tenant_id, experiment_id, status text, start_at, end_at timestamptz, targeting jsonb, allocation_version integer.
INSERT INTO experiments (
    tenant_id,
    experiment_id,
    status,
    start_at,
    end_at,
    targeting,
    allocation_version
)
VALUES (
    %(tenant_id)s,
    %(experiment_id)s,
    %(status)s,
    %(start_at)s,
    %(end_at)s,
    %(targeting)s,
    %(allocation_version)s
)
ON CONFLICT (tenant_id, experiment_id) DO UPDATE SET
    status = excluded.status,
    start_at = excluded.start_at,
    end_at = excluded.end_at,
    targeting = excluded.targeting,
    allocation_version = excluded.allocation_version,
    updated_at = now()
WHERE (
    experiments.status,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting,
    experiments.allocation_version
) IS DISTINCT FROM (
    excluded.status,
    excluded.start_at,
    excluded.end_at,
    excluded.targeting,
    excluded.allocation_version
)
