-- Experiments that campaign events name and that are not registered here, with what was counted of them in some days.
-- Grain and key: experiment_id, the one with most events first. Reads one row per day and experiment, no event.
-- Parameters: tenant_id text, first_day, last_day date (both included), row_limit integer.
SELECT
    campaign_counts.experiment_id,
    sum(campaign_counts.events)::bigint AS events,
    sum(campaign_counts.conversions)::bigint AS conversions,
    max(campaign_counts.day) AS last_day
FROM campaign_counts
WHERE campaign_counts.tenant_id = %(tenant_id)s
    AND campaign_counts.experiment_id <> ''
    AND campaign_counts.variant = ''
    AND campaign_counts.day BETWEEN %(first_day)s AND %(last_day)s
    AND NOT EXISTS (
        SELECT 1
        FROM experiments
        WHERE experiments.tenant_id = campaign_counts.tenant_id
            AND experiments.experiment_id = campaign_counts.experiment_id
    )
GROUP BY campaign_counts.experiment_id
ORDER BY
    sum(campaign_counts.events) DESC,
    campaign_counts.experiment_id
LIMIT %(row_limit)s
