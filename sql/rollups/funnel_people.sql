-- Makes funnel_people: a number for every user of one bucket, from a hash; `users` above 1 is a number that several have,
-- and then the numbers of another salt are to be taken. A salt is part of the text, because texts with equal hashes stay
-- equal whatever their hash is combined with. '' is nobody.
-- Grain and key: one row per who. Parameters: paths text[], salt, shift (bits of the hash not to use, at least 7),
-- buckets, bucket bigint.
CREATE OR REPLACE TABLE funnel_people AS
SELECT
    CAST(
        hash(
            tenant_id,
            CASE WHEN $salt = 0 THEN anonymous_user_id ELSE concat(anonymous_user_id, ' ', $salt) END
        ) >> $shift AS BIGINT
    ) AS who,
    min(tenant_id) AS tenant_id,
    count(*) AS users
FROM (
    SELECT DISTINCT
        tenant_id,
        anonymous_user_id
    FROM read_parquet($paths)
    WHERE anonymous_user_id <> ''
        AND ($buckets = 1 OR hash(anonymous_user_id) % $buckets = $bucket)
)
GROUP BY who
