-- Keeps a statement's text, once.
-- Grain: one text; key sha256.
-- Parameters: sha256, text text.
INSERT INTO statement_texts (
    sha256,
    text
)
VALUES (
    %(sha256)s,
    %(text)s
)
ON CONFLICT (sha256) DO NOTHING
