-- Removes the person from the users of every retail site, and from the sites' totals.
-- Grain of the result: one row per site and day ('-infinity': the whole history).
-- Parameters: tenant_id, user_id text.
WITH removed AS (
    DELETE FROM retail_site_users
    WHERE tenant_id = %(tenant_id)s
        AND user_key = sha256(convert_to(%(user_id)s, 'UTF8'))
    RETURNING
        site_id,
        day
)

UPDATE retail_site_totals AS totals
SET users = greatest(totals.users - 1, 0)
FROM removed
WHERE totals.tenant_id = %(tenant_id)s
    AND totals.site_id = removed.site_id
    AND totals.day = removed.day
RETURNING
    totals.site_id,
    totals.day::text
