-- Campaign events that name an experiment, and their conversions, by the UTC day they happened.
-- Grain and key: one row per day with any, ascending.
-- Parameters: tenant_id, experiment_id text, first_day, last_day date (both included).
SELECT
    campaign_counts.day,
    campaign_counts.events,
    campaign_counts.conversions
FROM campaign_counts
WHERE campaign_counts.tenant_id = %(tenant_id)s
    AND campaign_counts.experiment_id = %(experiment_id)s
    AND campaign_counts.variant = ''
    AND campaign_counts.day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY campaign_counts.day
