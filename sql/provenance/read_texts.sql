-- Reads statements' texts.
-- Grain: one text; key sha256.
-- Parameters: sha256s text[].
SELECT
    sha256,
    text
FROM statement_texts
WHERE sha256 = ANY(%(sha256s)s::text[])
