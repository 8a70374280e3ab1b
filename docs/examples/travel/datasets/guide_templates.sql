-- name: guide-templates
-- path: /api/guides/{guide}/templates
-- scope: shared
-- ttl: 600
-- tags: guides:$guide, templates
-- params:
--   guide  integer 1..2147483647

-- One guide's: a change of another guide leaves it alone.
SELECT t.id, t.title, t.days, t.price, g.name AS guide
FROM travel.templates AS t JOIN travel.guides AS g ON g.id = t.guide_id
WHERE t.guide_id = :guide
ORDER BY t.title, t.id
