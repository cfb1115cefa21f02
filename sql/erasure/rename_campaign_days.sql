-- Takes the person's id out of experiments and variants that others named: their users' days are staged under the name
-- without it. A day of a scope is one of every wider scope, where it is known already.
-- Grain: one row per day of a user in a scope that moves. Parameters: tenant_id, user_id, replacement text.
WITH removed AS (
    DELETE FROM campaign_user_days
    WHERE tenant_id = %(tenant_id)s
        AND (strpos(experiment_id, %(user_id)s) > 0 OR strpos(variant, %(user_id)s) > 0)
    RETURNING
        user_key,
        replace(experiment_id, %(user_id)s, %(replacement)s) AS experiment_id,
        replace(variant, %(user_id)s, %(replacement)s) AS variant,
        days,
        converted_days
)

INSERT INTO new_campaign_events (
    round,
    tenant_id,
    event_id,
    experiment_id,
    variant,
    day,
    converted,
    user_key
)
SELECT
    (SELECT coalesce(max(round), 0) + 1 FROM new_campaign_events),
    %(tenant_id)s,
    gen_random_uuid(),
    removed.experiment_id,
    removed.variant,
    lower(spans.span) + numbers.number,
    removed.converted_days @> (lower(spans.span) + numbers.number),
    removed.user_key
FROM removed
CROSS JOIN LATERAL unnest(removed.days) AS spans (span)
CROSS JOIN LATERAL generate_series(0, upper(spans.span) - lower(spans.span) - 1) AS numbers (number)
