-- Adds the days of the staged events to their users, in every scope, and notes how the numbers of users change: a new
-- day counts with its distance to the day before; the next known day had another day before it until now.
-- Grain: campaign_user_days by (tenant_id, user_key, experiment_id, variant); changes by scope, day and gap.
-- Parameters: none. To be run while the tenants are locked, in a statement of its own: it must see what others stored.
WITH staged AS (
    SELECT
        events.tenant_id,
        events.user_key,
        scopes.experiment_id,
        scopes.variant,
        range_agg(daterange(events.day, events.day + 1)) AS days,
        coalesce(
            range_agg(daterange(events.day, events.day + 1)) FILTER (WHERE events.converted), '{}'
        ) AS converted_days
    FROM (
        SELECT
            tenant_id,
            user_key,
            experiment_id,
            variant,
            day,
            bool_or(converted) AS converted
        FROM new_campaign_events
        WHERE round = (SELECT max(round) FROM new_campaign_events)
            AND user_key IS NOT NULL
        GROUP BY
            tenant_id,
            user_key,
            experiment_id,
            variant,
            day
    ) AS events
    CROSS JOIN LATERAL (
        SELECT
            '' AS experiment_id,
            '' AS variant
        UNION
        SELECT
            events.experiment_id,
            ''
        UNION
        SELECT
            '',
            events.variant
        UNION
        SELECT
            events.experiment_id,
            events.variant
    ) AS scopes
    GROUP BY
        events.tenant_id,
        events.user_key,
        scopes.experiment_id,
        scopes.variant
),

changed AS MATERIALIZED (
    SELECT
        staged.tenant_id,
        staged.user_key,
        staged.experiment_id,
        staged.variant,
        coalesce(known.days, '{}') AS known_days,
        staged.days - coalesce(known.days, '{}') AS new_days,
        coalesce(known.converted_days, '{}') AS known_converted_days,
        staged.converted_days - coalesce(known.converted_days, '{}') AS new_converted_days
    FROM staged
    -- OFFSET 0 keeps this a look-up by key, whatever the planner believes about a young table.
    LEFT JOIN LATERAL (
        SELECT
            days,
            converted_days
        FROM campaign_user_days
        WHERE campaign_user_days.tenant_id = staged.tenant_id
            AND campaign_user_days.user_key = staged.user_key
            AND campaign_user_days.experiment_id = staged.experiment_id
            AND campaign_user_days.variant = staged.variant
        OFFSET 0
    ) AS known ON true
    WHERE known.days IS NULL
        OR NOT staged.days <@ known.days
        OR NOT staged.converted_days <@ known.converted_days
),

kept AS (
    INSERT INTO campaign_user_days (
        tenant_id,
        user_key,
        experiment_id,
        variant,
        days,
        converted_days
    )
    SELECT
        tenant_id,
        user_key,
        experiment_id,
        variant,
        known_days + new_days,
        known_converted_days + new_converted_days
    FROM changed
    ON CONFLICT (tenant_id, user_key, experiment_id, variant) DO UPDATE SET
        days = excluded.days,
        converted_days = excluded.converted_days
),

histories AS (
    SELECT
        tenant_id,
        experiment_id,
        variant,
        0 AS conversion,
        known_days,
        new_days
    FROM changed
    UNION ALL
    SELECT
        tenant_id,
        experiment_id,
        variant,
        1,
        known_converted_days,
        new_converted_days
    FROM changed
),

added AS (
    SELECT
        histories.tenant_id,
        histories.experiment_id,
        histories.variant,
        histories.conversion,
        histories.known_days,
        histories.new_days,
        new_day.day,
        upper(all_days.days * datemultirange(daterange(NULL, new_day.day))) - 1 AS previous_day,
        lower(all_days.days * datemultirange(daterange(new_day.day + 1, NULL))) AS next_day
    FROM histories
    CROSS JOIN LATERAL (SELECT histories.known_days + histories.new_days AS days) AS all_days
    CROSS JOIN LATERAL unnest(histories.new_days) AS spans (span)
    CROSS JOIN LATERAL (
        SELECT lower(spans.span) + number AS day
        FROM generate_series(0, upper(spans.span) - lower(spans.span) - 1) AS numbers (number)
    ) AS new_day
),

moves AS (
    SELECT
        tenant_id,
        experiment_id,
        variant,
        conversion,
        day,
        previous_day,
        1 AS users
    FROM added
    UNION ALL
    -- The next day, unless that is new as well and counts by itself: from its old distance to its new one.
    SELECT
        added.tenant_id,
        added.experiment_id,
        added.variant,
        added.conversion,
        added.next_day,
        sides.previous_day,
        sides.users
    FROM added
    CROSS JOIN LATERAL (
        VALUES
        (added.day, 1),
        (upper(added.known_days * datemultirange(daterange(NULL, added.next_day))) - 1, -1)
    ) AS sides (previous_day, users)
    WHERE added.next_day IS NOT NULL
        AND NOT added.new_days @> added.next_day
)

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
    tenant_id,
    experiment_id,
    variant,
    day,
    coalesce(least(day - previous_day, 400), 400) AS gap,
    coalesce(sum(users) FILTER (WHERE conversion = 0), 0),
    coalesce(sum(users) FILTER (WHERE conversion = 0 AND previous_day IS NULL), 0),
    coalesce(sum(users) FILTER (WHERE conversion = 1), 0),
    coalesce(sum(users) FILTER (WHERE conversion = 1 AND previous_day IS NULL), 0)
FROM moves
GROUP BY
    tenant_id,
    experiment_id,
    variant,
    day,
    gap
