-- Brings an experiment's row up to its next revision; the row is locked already.
-- Grain and key: (tenant_id, experiment_id).
-- Parameters: tenant_id, experiment_id, name, description, status text, start_at, end_at timestamptz, targeting jsonb,
-- traffic_allocation double precision, layer text, layer_from, layer_to double precision, allocation_version integer,
-- started boolean (whether it has ever left DRAFT), version integer, revision bigint.
UPDATE experiments SET
    name = %(name)s,
    description = %(description)s,
    status = %(status)s,
    start_at = %(start_at)s,
    end_at = %(end_at)s,
    targeting = %(targeting)s,
    traffic_allocation = %(traffic_allocation)s,
    layer = %(layer)s,
    layer_from = %(layer_from)s,
    layer_to = %(layer_to)s,
    allocation_version = %(allocation_version)s,
    started_at = CASE WHEN %(started)s THEN coalesce(experiments.started_at, now()) END,
    version = %(version)s,
    revision = %(revision)s,
    updated_at = now()
WHERE experiments.tenant_id = %(tenant_id)s
    AND experiments.experiment_id = %(experiment_id)s
