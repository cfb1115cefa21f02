-- Removes the days on which the person was active, also those whose events were pruned, and notes how the numbers of
-- users change: each day loses a user with the distance to the day before.
-- Grain of the result: one row per scope; changes by scope, day and gap. Parameters: tenant_id, user_id text.
WITH removed AS (
    DELETE FROM campaign_user_days
    WHERE tenant_id = %(tenant_id)s
        AND user_key = campaign_user_key(%(user_id)s)
    RETURNING
        experiment_id,
        variant,
        days,
        converted_days
),

noted AS (
    INSERT INTO campaign_changes (
        tenant_id,
        experiment_id,
        variant,
        day,
        gap,
        users,
        first_users,
        converted_users,
        first_converted_users
    )
    SELECT
        %(tenant_id)s,
        histories.experiment_id,
        histories.variant,
        old_day.day,
        coalesce(least(old_day.day - previous.day, 400), 400) AS gap,
        -count(*) FILTER (WHERE histories.conversion = 0),
        -count(*) FILTER (WHERE histories.conversion = 0 AND previous.day IS NULL),
        -count(*) FILTER (WHERE histories.conversion = 1),
        -count(*) FILTER (WHERE histories.conversion = 1 AND previous.day IS NULL)
    FROM (
        SELECT
            experiment_id,
            variant,
            0 AS conversion,
            days
        FROM removed
        UNION ALL
        SELECT
            experiment_id,
            variant,
            1,
            converted_days
        FROM removed
    ) AS histories
    CROSS JOIN LATERAL unnest(histories.days) AS spans (span)
    CROSS JOIN LATERAL (
        SELECT lower(spans.span) + number AS day
        FROM generate_series(0, upper(spans.span) - lower(spans.span) - 1) AS numbers (number)
    ) AS old_day
    CROSS JOIN LATERAL (
        SELECT upper(histories.days * datemultirange(daterange(NULL, old_day.day))) - 1 AS day
    ) AS previous
    GROUP BY
        histories.experiment_id,
        histories.variant,
        old_day.day,
        gap
)

SELECT
    experiment_id,
    variant
FROM removed
