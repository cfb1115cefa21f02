-- Makes funnel_entries: from each entry a chain leads to the first event of step 2 at the same time or later. Of a
-- user's entries of one day with the same variants and no step 2 between them only the last is kept: it reaches all they
-- reach. Times are microseconds of the epoch.
-- Grain and key: one row per chain, numbered. Parameters: none.
CREATE OR REPLACE TABLE funnel_entries AS
WITH followed AS (
    SELECT
        person,
        moment,
        stamp,
        min(CASE WHEN stamp IS NULL THEN moment END) OVER journey AS next_moment,
        lead(moment) OVER journey AS beside_moment,
        lead(stamp) OVER journey AS beside_stamp
    FROM funnel_events
    WHERE moment % 32 <= 2
    WINDOW journey AS (
        PARTITION BY person
        ORDER BY moment
        ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    )
)

SELECT
    row_number() OVER () AS chain,
    followed.person,
    followed.stamp,
    followed.moment // 2764800000000 AS day_number,
    followed.moment // 32 AS entered_us,
    followed.moment // 32 + funnel_people.window_us AS until_us,
    followed.next_moment // 32 AS next_us
FROM followed
INNER JOIN funnel_people
    ON funnel_people.person = followed.person
WHERE followed.stamp IS NOT NULL
    AND (
        followed.beside_stamp IS DISTINCT FROM followed.stamp
        OR followed.beside_moment // 2764800000000 <> followed.moment // 2764800000000
    )
