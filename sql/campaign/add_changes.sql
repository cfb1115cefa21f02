-- Adds campaign_changes to campaign_counts.
-- Grain and key: (tenant_id, experiment_id, day, variant).
-- Parameters: none. To be run while the tenants are locked: the new arrays are computed from those that are there.
INSERT INTO campaign_counts (
    tenant_id,
    experiment_id,
    day,
    variant,
    events,
    conversions,
    first_users,
    first_converted_users,
    users,
    converted_users
)
SELECT
    changed.tenant_id,
    changed.experiment_id,
    changed.day,
    changed.variant,
    changed.events,
    changed.conversions,
    changed.first_users,
    changed.first_converted_users,
    add_by_gap(coalesce(known.users, '{0}'), changed.gaps, changed.users),
    add_by_gap(coalesce(known.converted_users, '{0}'), changed.gaps, changed.converted_users)
FROM (
    SELECT
        tenant_id,
        experiment_id,
        day,
        variant,
        sum(events)::bigint AS events,
        sum(conversions)::bigint AS conversions,
        sum(first_users)::bigint AS first_users,
        sum(first_converted_users)::bigint AS first_converted_users,
        coalesce(array_agg(gap) FILTER (WHERE gap IS NOT NULL), '{}') AS gaps,
        coalesce(array_agg(users) FILTER (WHERE gap IS NOT NULL), '{}') AS users,
        coalesce(array_agg(converted_users) FILTER (WHERE gap IS NOT NULL), '{}') AS converted_users
    FROM campaign_changes
    GROUP BY
        tenant_id,
        experiment_id,
        day,
        variant
) AS changed
-- OFFSET 0 keeps this a look-up by key, whatever the planner believes about a young table.
LEFT JOIN LATERAL (
    SELECT
        users,
        converted_users
    FROM campaign_counts
    WHERE campaign_counts.tenant_id = changed.tenant_id
        AND campaign_counts.experiment_id = changed.experiment_id
        AND campaign_counts.day = changed.day
        AND campaign_counts.variant = changed.variant
    OFFSET 0
) AS known ON true
ON CONFLICT (tenant_id, experiment_id, day, variant) DO UPDATE SET
    events = campaign_counts.events + excluded.events,
    conversions = campaign_counts.conversions + excluded.conversions,
    first_users = campaign_counts.first_users + excluded.first_users,
    first_converted_users = campaign_counts.first_converted_users + excluded.first_converted_users,
    users = excluded.users,
    converted_users = excluded.converted_users
