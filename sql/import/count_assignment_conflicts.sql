-- Counts staged assignments whose user is assigned to another variant of that experiment.
-- Grain of the result: one row.
-- Parameters: none.
SELECT count(*) AS conflict
FROM incoming_assignments AS incoming
INNER JOIN assignments
    ON assignments.tenant_id = incoming.tenant_id
    AND assignments.anonymous_user_id = incoming.anonymous_user_id
    AND assignments.experiment_id = incoming.experiment_id
WHERE assignments.variant_id <> incoming.variant_id
