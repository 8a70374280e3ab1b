-- name: company
-- path: /api/companies/{id}
-- scope: shared
-- key: company:$id
-- ttl: 3600
-- tags: companies:$id
-- returns: row
-- params:
--   id  integer 1..2147483647

SELECT id, name FROM travel.companies WHERE id = :id
