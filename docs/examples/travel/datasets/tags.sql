-- name: trip-tags
-- path: /api/tags
-- scope: shared
-- ttl: 86400
-- tags: trip-tags
-- refresh: reference

SELECT id, name FROM travel.tags ORDER BY name, id
