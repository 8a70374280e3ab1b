-- name: guide
-- path: /api/guides/{id}
-- scope: shared
-- key: guide:$id
-- ttl: 3600
-- tags: guides:$id
-- depends-on: company
-- returns: row
-- params:
--   id  integer 1..2147483647

SELECT g.id, g.name, g.languages, c.id AS company_id, c.name AS company
FROM travel.guides AS g JOIN travel.companies AS c ON c.id = g.company_id
WHERE g.id = :id
