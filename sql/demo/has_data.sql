-- Tells whether any event or assignment is stored, of any tenant.
-- Grain: one row, one boolean.
-- Parameters: none.
SELECT EXISTS (SELECT FROM event_logs) OR EXISTS (SELECT FROM assignments) AS has_data
