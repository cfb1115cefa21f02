-- Notes an input as seen by this refresh.
-- Grain and key: one row per name.
-- Parameters: name, fingerprint text.
INSERT INTO refresh_inputs (name, fingerprint)
VALUES (%(name)s, %(fingerprint)s)
ON CONFLICT (name) DO UPDATE SET
    fingerprint = excluded.fingerprint
