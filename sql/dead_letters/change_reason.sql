-- Notes why an event is still refused.
-- Grain: one row.
-- Parameters: id bigint, reason text.
UPDATE dead_letters
SET reason = %(reason)s
WHERE id = %(id)s
    AND reason <> %(reason)s
