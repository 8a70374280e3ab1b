-- name: locations
-- path: /api/locations
-- scope: shared
-- ttl: 86400
-- tags: locations
-- refresh: reference

SELECT id, name, country FROM travel.locations ORDER BY name, id
