-- name: template
-- path: /api/templates/{id}
-- scope: shared
-- key: template:$id
-- ttl: 3600
-- tags: templates:$id, locations, trip-types, trip-tags
-- depends-on: guide
-- returns: row
-- params:
--   id  integer 1..2147483647

-- It shows its guide, but which one the request does not say: any guide's change invalidates it.
SELECT t.id, t.title, t.days, t.price, g.id AS guide_id, g.name AS guide, l.name AS location, y.name AS trip_type,
       ARRAY (SELECT a.name FROM travel.template_tags AS x JOIN travel.tags AS a ON a.id = x.tag_id WHERE x.template_id = t.id ORDER BY a.name) AS tags
FROM travel.templates AS t
JOIN travel.guides AS g ON g.id = t.guide_id
JOIN travel.locations AS l ON l.id = t.location_id
JOIN travel.trip_types AS y ON y.id = t.trip_type_id
WHERE t.id = :id
