-- Selects the days whose ordered funnels can change: those on which a user with new events was active, as long as these
-- events are in reach of the funnels' windows.
-- Grain and key: one row per day. Parameters: follow_days integer (how many days after its own a cohort can reach).
WITH touched AS (
    SELECT
        now.active_days,
        unnest(touched) AS day
    FROM changed_users
),

reaching AS (
    SELECT
        unnest(active_days) AS cohort_day,
        day
    FROM touched
)

SELECT DISTINCT cohort_day AS day
FROM reaching
WHERE day - cohort_day BETWEEN 0 AND $follow_days
