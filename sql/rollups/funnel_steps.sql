-- Makes funnel_steps: which events belong to which step of which funnel.
-- Grain and key: one row per (funnel_name, event_name); an event belongs to one step.
-- Parameters: none.
CREATE TABLE funnel_steps AS
SELECT
    funnel_name,
    step_name,
    event_name
FROM (
    VALUES
    ('core_journey', 'active_open', 'app_opened'),
    ('core_journey', 'active_open', 'tab_opened'),
    ('core_journey', 'workout_engaged', 'workouts_default_loaded'),
    ('core_journey', 'workout_engaged', 'workout_started'),
    ('core_journey', 'exercise_logged', 'exercise_logged'),
    ('core_journey', 'session_submitted', 'session_submitted'),
    ('core_journey', 'achievement_unlocked', 'achievement_unlocked')
) AS steps (funnel_name, step_name, event_name)
