-- Sums a tenant's campaign counts over a range of UTC days, for one experiment or ('') for all events.
-- Grain and key: one row per variant that has any events; variant '' is all of them, with those that name none.
-- Parameters: tenant_id, experiment_id text; first_day, last_day date (both included; NULL for no bound). first_day at
-- most 399 days before last_day: that is how far back a row knows its users' days.
SELECT
    variant,
    sum(events)::bigint AS events,
    sum(conversions)::bigint AS conversions,
    sum(
        CASE
            WHEN %(first_day)s::date IS NULL THEN first_users
            ELSE users[least(day - %(first_day)s::date + 1, cardinality(users))]
        END
    )::bigint AS users,
    sum(
        CASE
            WHEN %(first_day)s::date IS NULL THEN first_converted_users
            ELSE converted_users[least(day - %(first_day)s::date + 1, cardinality(converted_users))]
        END
    )::bigint AS converted_users
FROM campaign_counts
WHERE tenant_id = %(tenant_id)s
    AND experiment_id = %(experiment_id)s
    AND day BETWEEN coalesce(%(first_day)s::date, '-infinity') AND coalesce(%(last_day)s::date, 'infinity')
GROUP BY variant
ORDER BY variant
