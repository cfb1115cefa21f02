-- Adds an experiment; its variants, its version and its entry in the log follow in the same transaction.
-- Grain and key: (tenant_id, experiment_id).
-- Parameters: tenant_id, experiment_id, name, description, status text, start_at, end_at timestamptz, targeting jsonb,
-- traffic_allocation double precision, layer text, layer_from, layer_to double precision, allocation_version integer,
-- started boolean (whether it has ever left DRAFT), changed_by text.
INSERT INTO experiments (
    tenant_id,
    experiment_id,
    name,
    description,
    status,
    start_at,
    end_at,
    targeting,
    traffic_allocation,
    layer,
    layer_from,
    layer_to,
    allocation_version,
    started_at,
    created_by
)
VALUES (
    %(tenant_id)s,
    %(experiment_id)s,
    %(name)s,
    %(description)s,
    %(status)s,
    %(start_at)s,
    %(end_at)s,
    %(targeting)s,
    %(traffic_allocation)s,
    %(layer)s,
    %(layer_from)s,
    %(layer_to)s,
    %(allocation_version)s,
    CASE WHEN %(started)s THEN now() END,
    %(changed_by)s
)
