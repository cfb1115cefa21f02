-- Lists the tables of this database that hold anything of ours.
-- Grain and key: table_name.
-- Parameters: none.
SELECT tablename AS table_name
FROM pg_tables
WHERE schemaname = 'public'
ORDER BY tablename
