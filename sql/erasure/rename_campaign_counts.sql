-- Takes the person's id out of experiments and variants that others named: counts move to the name without it.
-- Grain: one change per count that moves, of events and conversions; users follow by their days.
-- Parameters: tenant_id, user_id, replacement text.
WITH removed AS (
    DELETE FROM campaign_counts
    WHERE tenant_id = %(tenant_id)s
        AND (strpos(experiment_id, %(user_id)s) > 0 OR strpos(variant, %(user_id)s) > 0)
    RETURNING
        experiment_id,
        variant,
        day,
        events,
        conversions
)

INSERT INTO campaign_changes (
    tenant_id,
    experiment_id,
    variant,
    day,
    events,
    conversions
)
SELECT
    %(tenant_id)s,
    replace(experiment_id, %(user_id)s, %(replacement)s),
    replace(variant, %(user_id)s, %(replacement)s),
    day,
    events,
    conversions
FROM removed
