-- name: trip-types
-- path: /api/trip-types
-- scope: shared
-- ttl: 86400
-- tags: trip-types
-- refresh: reference

SELECT id, name FROM travel.trip_types ORDER BY name, id
