-- Another experiment that holds some of a slice of a layer: one that is not ENDED.
-- Grain: one row at most, the first by slice.
-- Parameters: tenant_id, experiment_id text (not this one), layer text, layer_from, layer_to double precision.
SELECT
    experiments.experiment_id,
    experiments.status,
    experiments.layer_from,
    experiments.layer_to
FROM experiments
WHERE experiments.tenant_id = %(tenant_id)s
    AND experiments.experiment_id <> %(experiment_id)s
    AND experiments.layer = %(layer)s
    AND experiments.status <> 'ENDED'
    AND experiments.layer_from < %(layer_to)s
    AND experiments.layer_to > %(layer_from)s
ORDER BY experiments.layer_from
LIMIT 1
