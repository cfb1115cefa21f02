-- Takes the changes of assignments that were committed since they were taken last.
-- Grain of the result: one row per change.
-- Parameters: none.
DELETE FROM assignment_changes
RETURNING
    tenant_id,
    anonymous_user_id,
    experiment_id,
    variant_id,
    day,
    change
