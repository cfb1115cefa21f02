-- Makes the empty funnel_chains, which `funnel_chains` fills four steps at a time.
-- Grain and key: one row per (chain, step_number): from step_number on a chain goes on to step `reached`; the times
-- since the step before of the four steps that follow, null beyond `reached`; stamp is null but from step 1 on.
-- Parameters: none. Microseconds, times are of the epoch.
CREATE OR REPLACE TABLE funnel_chains (
    chain BIGINT,
    person BIGINT,
    stamp BIGINT,
    entered_us BIGINT,
    step_number INTEGER,
    reached INTEGER,
    fifth_us BIGINT,
    second_gap_us BIGINT,
    third_gap_us BIGINT,
    fourth_gap_us BIGINT,
    fifth_gap_us BIGINT
)
