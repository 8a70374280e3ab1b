-- name: occurrence
-- path: /api/occurrences/{id}
-- scope: shared
-- key: occurrence:$id
-- ttl: 300
-- tags: occurrences:$id, templates
-- returns: row
-- params:
--   id  integer 1..2147483647

SELECT o.id, o.starts_on, o.seats_left, t.id AS template_id, t.title, t.price
FROM travel.occurrences AS o JOIN travel.templates AS t ON t.id = o.template_id
WHERE o.id = :id
