-- Streams one batch of assignments into the connection's staging table.
-- Grain: one row per assignment; columns in the order of pipeline.imports.rows.AssignmentRow after position.
-- Parameters: none (rows follow through COPY).
COPY incoming_assignments (
    position,
    tenant_id,
    anonymous_user_id,
    experiment_id,
    variant_id,
    assignment_version,
    assigned_at
) FROM STDIN
