-- What is needed to take events out of event_logs once they are in the lake: their ids, their number, and a way to
-- find the oldest ones.

-- The ids of events that were removed: an event that is sent again is still known. The index is on the id alone: ids of
-- two tenants are rarely the same, and the tenant would cost as much again. Ids alone are nothing personal.
CREATE TABLE removed_event_ids (
    event_id uuid NOT NULL,
    tenant_id text COLLATE "C" NOT NULL
) WITH (autovacuum_analyze_scale_factor = 0.5, autovacuum_vacuum_insert_scale_factor = 0.5);

CREATE INDEX removed_event_ids_event_id ON removed_event_ids (event_id);

-- How many were removed, so that the books still balance. id_sum and id_xor are over the last 48 bits of their ids, as
-- in sql/checks. pruned: they are in the lake, and there alone. erased: they are nowhere.
CREATE TABLE removed_events (
    tenant_id text NOT NULL,
    received_day date NOT NULL,
    occurred_day date NOT NULL,
    reason text NOT NULL CHECK (reason IN ('pruned', 'erased')),
    events bigint NOT NULL,
    id_sum numeric NOT NULL,
    id_xor bigint NOT NULL,
    PRIMARY KEY (tenant_id, received_day, occurred_day, reason)
) WITH (fillfactor = 50);

CREATE INDEX event_logs_received_at ON event_logs (received_at);

-- A night takes a thirtieth of the rows; the default would let six nights of dead rows add up.
ALTER TABLE event_logs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);
